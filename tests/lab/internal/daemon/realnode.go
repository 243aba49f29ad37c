package daemon

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"

	"platctl.dev/lab/internal/controlplane"
	"platctl.dev/lab/internal/network"
	"platctl.dev/lab/internal/policy"
	"platctl.dev/lab/internal/realnode"
	"platctl.dev/lab/internal/storage"
)

// upReal brings up a lab whose node is this machine.
func (l *lab) upReal(ctx context.Context) (info Info, err error) {
	if err := realnode.Check(); err != nil {
		return info, err
	}
	if l.config, err = controlplane.NewConfig(l.options.Dir, realnode.Address); err != nil {
		return info, err
	}
	l.node = realnode.New(l.options.Dir, l.options.BinDir, controlplane.ServiceCIDR, network.BalancerCIDR)
	if err := l.node.Open(ctx); err != nil {
		return info, err
	}
	images := l.importImages(ctx)
	if l.units, err = controlplane.Start(ctx, l.config); err != nil {
		return info, err
	}
	client, err := kubernetes.NewForConfig(l.restConfig())
	if err != nil {
		return info, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	volumes := storage.Volumes{Client: client, Dir: filepath.Join(l.options.Dir, "node", "volumes")}
	volumes.Watch(ctx, factory)
	balancers := network.NewLoadBalancers(client, factory)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go balancers.Run(ctx)
	if err := volumes.CreateClass(ctx); err != nil {
		return info, err
	}
	if err := awaitNamespaces(ctx, client); err != nil {
		return info, err
	}
	// A pod must not find the node without the image that it needs.
	if err := <-images; err != nil {
		return info, err
	}
	if err := l.startNode(ctx, client); err != nil {
		return info, err
	}
	server, adminURL, err := l.serveFrontends(nil, balancers)
	if err != nil {
		return info, err
	}
	info = Info{
		Pid: os.Getpid(), Admin: adminURL, Server: server, DirectServer: l.config.DirectURL(),
		Kubeconfig:       filepath.Join(l.options.Dir, "kubeconfig"),
		DirectKubeconfig: filepath.Join(l.options.Dir, "direct.kubeconfig"),
		PodCIDR:          realnode.PodCIDR, Real: []string{"node"},
	}
	return info, l.publish(info)
}

// importImages works beside the start of the control plane.
func (l *lab) importImages(ctx context.Context) <-chan error {
	done := make(chan error, 1)
	if l.options.ImagesDir == "" {
		done <- nil
		return done
	}
	go func() { done <- l.node.ImportImages(ctx, l.options.ImagesDir) }()
	return done
}

func (l *lab) startNode(ctx context.Context, client kubernetes.Interface) error {
	credentials, err := l.config.NodeCredentials()
	if err != nil {
		return fmt.Errorf("credentials of the node: %w", err)
	}
	if err := l.enforcePolicies(ctx); err != nil {
		return err
	}
	if err := l.node.Start(ctx, client, credentials); err != nil {
		return err
	}
	return realnode.StartDNS(ctx, client)
}

// enforcePolicies returns when NetworkPolicies hold: before the first pod runs.
func (l *lab) enforcePolicies(ctx context.Context) error {
	ready, ended := make(chan struct{}), make(chan error, 1)
	options := policy.Options{
		Scope:  policy.Scope{NodeName: realnode.Name, PodCIDRs: []netip.Prefix{netip.MustParsePrefix(realnode.PodCIDR)}},
		Socket: l.node.PolicySocket(),
		Ready:  func() { close(ready) },
	}
	go func() {
		err := policy.Run(ctx, l.restConfig(), options)
		if err != nil && ctx.Err() == nil {
			log.Printf("NetworkPolicies are no longer kept in force: %v", err)
		}
		ended <- err
	}()
	select {
	case <-ready:
		return nil
	case err := <-ended:
		return fmt.Errorf("keep NetworkPolicies in force: %w", err)
	}
}
