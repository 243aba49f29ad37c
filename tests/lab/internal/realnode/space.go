package realnode

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"platctl.dev/lab/internal/child"
)

// SpaceCommand is the lab's own subcommand that is the first process of the node's
// namespaces.
const SpaceCommand = "node-space"

// places are the directories of a node. Inside its namespaces each is a directory
// of the lab's.
var places = map[string]string{
	"/run/containerd":     "run-containerd",
	"/run/netns":          "run-netns",
	"/var/lib/containerd": "containerd",
	"/var/lib/cni":        "cni-state",
	"/var/lib/kubelet":    "kubelet",
	"/var/log/containers": "log-containers",
	"/var/log/pods":       "log-pods",
}

func (n *Node) openSpace(ctx context.Context) error {
	for _, name := range places {
		if err := os.MkdirAll(n.path(name), 0o755); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	n.space = &child.Unit{
		Name: SpaceCommand,
		Prepare: func() (child.Spec, error) {
			return child.Spec{
				Name: SpaceCommand, Path: self, Args: []string{SpaceCommand, n.dir}, Env: os.Environ(), Dir: n.dir,
				LogFile: filepath.Join(n.dir, "logs", SpaceCommand+".log"), PidDir: filepath.Join(n.dir, "pids"),
				Namespaces: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
			}, os.RemoveAll(n.readyFile())
		},
	}
	n.space.Start()
	return await(ctx, 10*time.Second, "the node's namespaces", func() error {
		_, err := os.Stat(n.readyFile())
		return err
	})
}

func (n *Node) readyFile() string { return readyFile(n.dir) }

func readyFile(dir string) string { return filepath.Join(nodeDir(dir), "ready") }

// enter is the beginning of a command that is to run inside.
func (n *Node) enter() []string {
	return []string{"nsenter", "--mount", "--pid", "--target", strconv.Itoa(n.space.State().Pid), "--"}
}

// RunSpace is the first process inside: it puts the lab's directories in place and
// then only waits. When it ends the kernel kills every process of the namespace.
func RunSpace(dir string) error {
	// What is mounted from now on stays inside, where every part of it is shared: a
	// volume that the kubelet mounts must be there for containerd and for containers.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_SHARED, ""); err != nil {
		return fmt.Errorf("make mounts shared: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for place, name := range places {
		if err := syscall.Mount(filepath.Join(nodeDir(dir), name), place, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount on %s: %w", place, err)
		}
	}
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGINT, syscall.SIGTERM)
	if err := os.WriteFile(readyFile(dir), nil, 0o644); err != nil {
		return err
	}
	for {
		select {
		case <-end:
			return nil
		case <-children:
			reap()
		}
	}
}

// reap collects the processes whose parents have ended.
func reap() {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, syscall.EINTR) {
			return
		}
	}
}

// await asks again and again until there is no error.
func await(ctx context.Context, patience time.Duration, what string, check func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not ready after %s: %w", what, patience, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
