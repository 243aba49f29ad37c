package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"platctl.dev/lab/internal/child"
	"platctl.dev/lab/internal/daemon"
)

const patience = 3 * time.Minute

func up(args []string) error {
	options, detach, err := parseUp(args)
	if err != nil {
		return err
	}
	if detach {
		return upDetached(options.Dir, args)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return daemon.Run(ctx, options, func(info daemon.Info) { fmt.Println(info.Kubeconfig) })
}

func parseUp(args []string) (options daemon.Options, detach bool, err error) {
	flags := flag.NewFlagSet("lab up", flag.ContinueOnError)
	flags.StringVar(&options.Dir, "dir", "", "the lab's directory; emptied first")
	flags.BoolVar(&detach, "detach", false, "return when the lab is ready")
	flags.IntVar(&options.Nodes, "nodes", 3, "simulated nodes")
	flags.DurationVar(&options.PodDelay, "pod-delay", 300*time.Millisecond, "how long a pod takes to start")
	flags.DurationVar(&options.PullDelay, "pull-delay", 0, "how long a node takes to pull an image, each once and one at a time")
	components := flags.String("components", "all", "real programs to run: all, none or a list of "+strings.Join(daemon.Components(), ","))
	flags.StringVar(&options.BinDir, "bin", "", "directory of the real programs (default: beside lab)")
	nodeKind := flags.String("node", "simulated", "simulated, or real: this machine is the node (needs root)")
	flags.StringVar(&options.ImagesDir, "images", "", "directory of OCI archives (*.tar) that a real node gets")
	flags.StringVar(&options.Version, "kubernetes-version-string", "", "what /version claims through DIR/kubeconfig")
	if err := flags.Parse(args); err != nil {
		return options, false, err
	}
	if options.Dir == "" {
		return options, false, fmt.Errorf("--dir is missing")
	}
	if options.Dir, err = filepath.Abs(options.Dir); err != nil {
		return options, false, err
	}
	switch *nodeKind {
	case "simulated":
		if options.ImagesDir != "" {
			return options, false, fmt.Errorf("--images is for --node real: simulated nodes run no containers")
		}
	case "real":
		options.RealNode = true
	default:
		return options, false, fmt.Errorf("--node is simulated or real, not `%s`", *nodeKind)
	}
	switch *components {
	case "all":
		options.Components = daemon.Components()
	case "none":
	default:
		options.Components = strings.Split(*components, ",")
	}
	if options.BinDir == "" {
		self, err := os.Executable()
		if err != nil {
			return options, false, err
		}
		options.BinDir = filepath.Dir(self)
	}
	if options.ImagesDir != "" {
		if options.ImagesDir, err = filepath.Abs(options.ImagesDir); err != nil {
			return options, false, err
		}
	}
	options.BinDir, err = filepath.Abs(options.BinDir)
	return options, detach, err
}

// upDetached starts the same command without --detach and waits until it is ready.
func upDetached(dir string, args []string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	_ = os.Remove(daemon.InfoFile(dir))
	logPath := filepath.Join(dir, "lab.log")
	log, err := os.Create(logPath)
	if err != nil {
		return err
	}
	defer log.Close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	command := exec.Command(self, append([]string{"up"}, withoutDetach(args)...)...)
	command.Stdout, command.Stderr = log, log
	command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := command.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	return awaitReady(dir, logPath, ended)
}

func awaitReady(dir, logPath string, ended <-chan error) error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if info, err := readInfo(dir); err == nil {
			fmt.Println(info.Kubeconfig)
			return nil
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(logPath)
			return fmt.Errorf("the lab did not come up:\n%s", text)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the lab is not ready after %s: see %s", patience, logPath)
}

func withoutDetach(args []string) []string {
	var kept []string
	for _, argument := range args {
		if strings.TrimLeft(argument, "-") != "detach" && !strings.HasPrefix(strings.TrimLeft(argument, "-"), "detach=") {
			kept = append(kept, argument)
		}
	}
	return kept
}

func readInfo(dir string) (info daemon.Info, err error) {
	data, err := os.ReadFile(daemon.InfoFile(dir))
	if err != nil {
		return info, err
	}
	return info, json.Unmarshal(data, &info)
}

func down(args []string) error {
	flags := flag.NewFlagSet("lab down", flag.ContinueOnError)
	dir := flags.String("dir", "", "the lab's directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return fmt.Errorf("--dir is missing")
	}
	// As `up` knows it.
	path, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	if pid := child.ReadPidFile(daemon.PidFile(path)); pid != 0 {
		_ = syscall.Kill(pid, syscall.SIGTERM)
		if !child.WaitGone(pid, 30*time.Second) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			child.WaitGone(pid, 5*time.Second)
		}
	}
	return daemon.CleanUp(path)
}
