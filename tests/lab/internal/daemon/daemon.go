// Package daemon puts a lab together and takes it down again.
package daemon

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcore "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"

	"platctl.dev/lab/internal/admin"
	"platctl.dev/lab/internal/child"
	"platctl.dev/lab/internal/controlplane"
	"platctl.dev/lab/internal/faultproxy"
	"platctl.dev/lab/internal/kubelet"
	"platctl.dev/lab/internal/network"
	"platctl.dev/lab/internal/node"
	"platctl.dev/lab/internal/realnode"
	"platctl.dev/lab/internal/storage"
	"platctl.dev/lab/internal/workload"
)

// Options of `lab up`.
type Options struct {
	Dir        string
	Nodes      int
	PodDelay   time.Duration
	PullDelay  time.Duration
	Components []string
	BinDir     string
	// Version is what /version claims through the fault proxy; empty for the truth.
	Version string
	// RealNode makes the machine the one node, instead of simulated ones. ImagesDir
	// may have OCI archives for it.
	RealNode  bool
	ImagesDir string
}

// Info is what lab.json holds.
type Info struct {
	Pid              int      `json:"pid"`
	Admin            string   `json:"admin"`
	Kubeconfig       string   `json:"kubeconfig"`
	DirectKubeconfig string   `json:"directKubeconfig"`
	Server           string   `json:"server"`
	DirectServer     string   `json:"directServer"`
	ClusterProxy     string   `json:"clusterProxy,omitempty"`
	PodCIDR          string   `json:"podCIDR"`
	Real             []string `json:"real"`
}

// lab holds what has to be taken down.
type lab struct {
	options   Options
	config    *controlplane.Config
	units     []*child.Unit
	addresses *node.Addresses
	closers   []func()
	manager   *workload.Manager
	node      *realnode.Node
}

// Run brings a lab up, calls ready, and takes it down when ctx ends.
func Run(ctx context.Context, options Options, ready func(Info)) error {
	if err := prepareDir(options.Dir); err != nil {
		return err
	}
	child.WritePidFile(PidFile(options.Dir), os.Getpid())
	lab := &lab{options: options}
	defer lab.down()
	up := lab.up
	if options.RealNode {
		up = lab.upReal
	}
	info, err := up(ctx)
	if err != nil {
		return err
	}
	ready(info)
	<-ctx.Done()
	return nil
}

// PidFile of a lab's main process.
func PidFile(dir string) string { return filepath.Join(dir, "lab.pid") }

// InfoFile says where a lab is reached; it is there when the lab is ready.
func InfoFile(dir string) string { return filepath.Join(dir, "lab.json") }

func socketsLink(dir string) string { return filepath.Join(dir, "sockets") }

func removeSockets(dir string) {
	if sockets, err := os.Readlink(socketsLink(dir)); err == nil {
		_ = os.RemoveAll(sockets)
		_ = os.Remove(socketsLink(dir))
	}
}

// CleanUp ends what a lab that was killed has left behind.
func CleanUp(dir string) error {
	child.KillLeftovers(filepath.Join(dir, "pids"))
	removeSockets(dir)
	_ = os.Remove(PidFile(dir))
	_ = os.Remove(InfoFile(dir))
	return realnode.CleanUp(dir)
}

// prepareDir makes room for a new cluster: a lab always starts empty.
func prepareDir(dir string) error {
	if pid := child.ReadPidFile(PidFile(dir)); pid != 0 {
		return fmt.Errorf("a lab runs in %s already (process %d): `lab down --dir %s` ends it", dir, pid, dir)
	}
	if err := CleanUp(dir); err != nil {
		return err
	}
	for _, old := range []string{"etcd", "run", "pki", "config", "logs", "pids", "lab.json", "kubeconfig", "direct.kubeconfig"} {
		if err := os.RemoveAll(filepath.Join(dir, old)); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o755)
}

func (l *lab) up(ctx context.Context) (info Info, err error) {
	if l.config, err = controlplane.NewConfig(l.options.Dir, controlplane.Loopback); err != nil {
		return info, err
	}
	if l.addresses, err = node.ClaimAddresses(); err != nil {
		return info, err
	}
	client, err := kubernetes.NewForConfig(l.restConfig())
	if err != nil {
		return info, err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	kubeletListener, kubeletPort, err := kubelet.Listen()
	if err != nil {
		return info, err
	}
	surroundings := &workload.Surroundings{
		Config: l.config, BinDir: l.options.BinDir, Client: client,
		References: workload.References{
			Secrets: factory.Core().V1().Secrets().Lister(), ConfigMaps: factory.Core().V1().ConfigMaps().Lister(),
		},
	}
	if err := child.Supported(); err != nil {
		log.Printf("no user namespaces here, so programs do not get their container's paths and user: %v", err)
	} else {
		surroundings.Roots = true
	}
	kinds, names := l.kinds(surroundings)
	l.manager = workload.NewManager(kinds...)
	resolver := network.NewResolver(factory, l.addresses, l.manager, address(l.config.APIPort), address(kubeletPort))
	proxyURL, err := l.serveClusterProxy(resolver, surroundings)
	if err != nil {
		return info, err
	}
	// The API server needs the proxy from its first webhook on.
	if l.units, err = controlplane.Start(ctx, l.config); err != nil {
		return info, err
	}
	nodes := node.Names(l.options.Nodes)
	pods := node.NewPods(client, factory, l.addresses, nodes, recorder(ctx, client))
	pods.Delay, pods.Images.Delay, pods.Backings = l.options.PodDelay, l.options.PullDelay, l.manager
	l.manager.Look = pods.Look
	balancers := network.NewLoadBalancers(client, factory)
	volumes := storage.Volumes{Client: client}
	volumes.Watch(ctx, factory)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	go pods.Run(ctx)
	go balancers.Run(ctx)
	if err := l.serveKubelet(kubeletListener, factory, resolver, pods); err != nil {
		return info, err
	}
	if err := node.Register(ctx, client, nodes, kubeletPort, controlplane.Version); err != nil {
		return info, err
	}
	if err := volumes.CreateClass(ctx); err != nil {
		return info, err
	}
	if err := awaitNamespaces(ctx, client); err != nil {
		return info, err
	}
	server, adminURL, err := l.serveFrontends(pods, balancers)
	if err != nil {
		return info, err
	}
	info = Info{
		Pid: os.Getpid(), Admin: adminURL, Server: server, DirectServer: l.config.DirectURL(), ClusterProxy: proxyURL,
		Kubeconfig:       filepath.Join(l.options.Dir, "kubeconfig"),
		DirectKubeconfig: filepath.Join(l.options.Dir, "direct.kubeconfig"),
		PodCIDR:          l.addresses.CIDR(), Real: names,
	}
	return info, l.publish(info)
}

// publish writes the kubeconfig and, last of all, lab.json.
func (l *lab) publish(info Info) error {
	kubeconfig := l.config.Kubeconfig(info.Server, l.config.AdminToken)
	if err := os.WriteFile(info.Kubeconfig, []byte(kubeconfig), 0o600); err != nil {
		return err
	}
	data, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return err
	}
	temporary := InfoFile(l.options.Dir) + ".new"
	if err := os.WriteFile(temporary, append(data, '\n'), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, InfoFile(l.options.Dir))
}

func (l *lab) serveClusterProxy(resolver *network.Resolver, surroundings *workload.Surroundings) (string, error) {
	proxy := network.NewProxy(resolver)
	l.closers = append(l.closers, proxy.Close)
	url, err := proxy.Listen()
	if err != nil {
		return "", err
	}
	surroundings.ProxyAddr, surroundings.Forward = trimScheme(url), proxy.Forward
	// Not under Dir: the path of a socket may have no more than 107 characters.
	sockets, err := os.MkdirTemp("", "platctl-lab-")
	if err != nil {
		return "", err
	}
	// Remembered for the next lab or `lab down`, should this one be killed.
	if err := os.Symlink(sockets, socketsLink(l.options.Dir)); err != nil {
		return "", err
	}
	l.closers = append(l.closers, func() { removeSockets(l.options.Dir) })
	socket := filepath.Join(sockets, "egress.sock")
	if err := proxy.ListenUnix(socket); err != nil {
		return "", err
	}
	return url, l.config.WriteEgress(socket)
}

func (l *lab) serveKubelet(listener net.Listener, factory informers.SharedInformerFactory, resolver *network.Resolver, pods *node.Pods) error {
	server := &kubelet.Server{
		Pods: factory.Core().V1().Pods().Lister(),
		Dial: func(ctx context.Context, pod *core.Pod, port int) (net.Conn, error) {
			local, err := resolver.ResolvePod(pod, port)
			if err != nil {
				return nil, err
			}
			dialer := net.Dialer{Timeout: 5 * time.Second}
			return dialer.DialContext(ctx, "tcp", local)
		},
		Logs: func(pod *core.Pod, container string) ([]byte, error) {
			if text, found := l.manager.Log(pod, container); found {
				return text, nil
			}
			return kubelet.SimulatedLog(pod, container, pods.Rules.For(pod).Log), nil
		},
	}
	l.closers = append(l.closers, server.Close)
	return server.Serve(listener, l.config.Kubelet, l.config.CA.PEM)
}

// serveFrontends opens what tests talk to: the fault proxy and the admin API.
func (l *lab) serveFrontends(pods *node.Pods, balancers *network.LoadBalancers) (server, adminURL string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	proxy, err := faultproxy.Serve(listener, l.config.Serving, l.config.DirectURL(), l.config.CA.PEM)
	if err != nil {
		return "", "", err
	}
	proxy.Version = l.options.Version
	adminListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	admin.Serve(adminListener, &admin.Lab{Proxy: proxy, Pods: pods, Balancers: balancers, Workloads: l.manager, Units: l.allUnits()})
	l.closers = append(l.closers, proxy.Close, func() { _ = adminListener.Close() })
	return "https://" + listener.Addr().String(), "http://" + adminListener.Addr().String(), nil
}

func (l *lab) allUnits() []*child.Unit {
	if l.node == nil {
		return l.units
	}
	return append(slices.Clone(l.units), l.node.Units()...)
}

// down takes everything down; the API server last but etcd, so that the real
// controllers can give up their leases.
func (l *lab) down() {
	if l.manager != nil {
		l.manager.StopAll()
	}
	for _, closer := range l.closers {
		closer()
	}
	if l.node != nil {
		l.node.Close()
	}
	controlplane.Stop(l.units)
	if l.addresses != nil {
		l.addresses.Release()
	}
	if err := realnode.CleanUp(l.options.Dir); err != nil {
		log.Print(err)
	}
	_ = os.Remove(InfoFile(l.options.Dir))
	_ = os.Remove(PidFile(l.options.Dir))
	log.Print("lab is down")
}

func recorder(ctx context.Context, client kubernetes.Interface) record.EventRecorder {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcore.EventSinkImpl{Interface: client.CoreV1().Events("")})
	return broadcaster.NewRecorder(scheme.Scheme, core.EventSource{Component: "kubelet"})
}
