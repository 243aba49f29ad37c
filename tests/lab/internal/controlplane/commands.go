// Package controlplane runs the unmodified etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler. All four are linked into the lab's
// own binary and run as child processes of it, so that a test can kill one. The
// node's kubelet and kube-proxy are linked in likewise (package realnode runs them).
package controlplane

import (
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"syscall"

	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"platctl.dev/lab/internal/realnode"
)

// Run executes the component of Kubernetes called name; false when there is none.
func Run(name string, args []string) (code int, known bool) {
	os.Args = append([]string{name}, args...)
	switch name {
	case "etcd":
		return runEtcd(args), true
	case "kube-apiserver":
		return cli.Run(apiserver.NewAPIServerCommand()), true
	case "kube-controller-manager":
		return cli.Run(controllermanager.NewControllerManagerCommand()), true
	case "kube-scheduler":
		return cli.Run(scheduler.NewSchedulerCommand()), true
	case "kube-proxy":
		return cli.Run(proxy.NewProxyCommand()), true
	case "kubelet":
		return realnode.RunKubelet(args), true
	}
	return 0, false
}

// runEtcd takes: data directory, client URL, peer URL.
func runEtcd(args []string) int {
	if err := serveEtcd(args); err != nil {
		fmt.Fprintln(os.Stderr, "etcd:", err)
		return 1
	}
	return 0
}

func serveEtcd(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("want data directory, client URL and peer URL, got %d arguments", len(args))
	}
	client, err := url.Parse(args[1])
	if err != nil {
		return err
	}
	peer, err := url.Parse(args[2])
	if err != nil {
		return err
	}
	config := embed.NewConfig()
	config.Dir = args[0]
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	// A lab is thrown away after use: no need to wait for the disk.
	config.UnsafeNoFsync = true
	config.LogLevel = "warn"
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGINT, syscall.SIGTERM)
	select {
	case <-stop:
		server.Close()
		return nil
	case err := <-server.Err():
		return err
	}
}
