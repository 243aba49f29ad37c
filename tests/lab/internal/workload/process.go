package workload

import (
	"context"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"

	"platctl.dev/lab/internal/child"
	"platctl.dev/lab/internal/controlplane"
	"platctl.dev/lab/internal/node"
)

// Process is a row of the table: which real program stands for which workload.
type Process struct {
	// Label is the process's name in the admin API, Component what --components says.
	Label, Component string
	// Binary is a file in the lab's bin directory.
	Binary string
	// Namespace and Labels select the pods, Container the container it replaces.
	Namespace string
	Labels    map[string]string
	Container string
	// LocalPorts are container ports that the program cannot bind on the pod's own
	// address; each gets a free port of 127.0.0.1, see Launch.Port.
	LocalPorts []int
	// Init is an init container that is run before every start, in the same place.
	Init string
	// Dir is the working directory, the container's if nil.
	Dir func(*Launch) string
	// Ready is asked before the pod counts as ready.
	Ready Check
	// Args makes the arguments from the container's own.
	Args func(*Launch) []string
	// Env changes the container's environment.
	Env func(*Launch, map[string]string)
	// Prepare is called before every start, when the volumes are there.
	Prepare func(*Launch) error
}

// Surroundings are what all processes of a lab share.
type Surroundings struct {
	Config    *controlplane.Config
	BinDir    string
	ProxyAddr string
	// Forward opens a loopback address for one of the cluster network, which may be
	// a Service of the given namespace.
	Forward    func(namespace, address string) (string, error)
	Client     kubernetes.Interface
	References References
	// Roots is whether processes can have the container's paths and user.
	Roots bool
}

// ProcessKind makes backings out of a table row.
type ProcessKind struct {
	Process
	Around *Surroundings
}

// Name implements Kind.
func (k ProcessKind) Name() string { return k.Label }

// Matches implements Kind.
func (k ProcessKind) Matches(pod *core.Pod) bool {
	if pod.Namespace != k.Namespace {
		return false
	}
	for name, value := range k.Labels {
		if pod.Labels[name] != value {
			return false
		}
	}
	_, found := containerOf(pod, k.Container)
	return found
}

// Start implements Kind. The manager starts the unit.
func (k ProcessKind) Start(pod *core.Pod, changed func()) Backing {
	ctx, cancel := context.WithCancel(context.Background())
	container, _ := containerOf(pod, k.Container)
	backing := &processBacking{
		kind: k, cancel: cancel, changed: changed,
		launch: newLaunch(k, pod, container),
	}
	ports, err := controlplane.FreePorts(len(k.LocalPorts))
	if err != nil {
		log.Printf("%s: %v", k.Label, err)
	}
	for i, port := range ports {
		backing.launch.local[k.LocalPorts[i]] = port
	}
	backing.unit = &child.Unit{Name: k.Label, Changed: backing.restarted, Prepare: func() (child.Spec, error) {
		return backing.prepare(ctx)
	}}
	go backing.launch.files.keepFresh(ctx)
	go backing.watchReadiness(ctx)
	return backing
}

type processBacking struct {
	kind    ProcessKind
	launch  *Launch
	unit    *child.Unit
	cancel  context.CancelFunc
	changed func()

	mutex sync.Mutex
	ready bool
}

// Unit implements Controllable.
func (b *processBacking) Unit() *child.Unit { return b.unit }

// State implements Backing.
func (b *processBacking) State() node.BackingState {
	state := b.unit.State()
	b.mutex.Lock()
	defer b.mutex.Unlock()
	result := node.BackingState{
		Container: b.kind.Container, Running: state.Running, Ready: state.Running && b.ready,
		Restarts: int32(state.Restarts), Started: state.Started, Ended: state.Ended, Message: state.Problem,
	}
	if state.LastExit != nil {
		code := int32(*state.LastExit)
		result.ExitCode = &code
	}
	return result
}

// Address implements Backing.
func (b *processBacking) Address(port int) (string, bool) {
	local, found := b.launch.local[port]
	if !found {
		return "", false
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(local)), true
}

// Log implements Backing.
func (b *processBacking) Log() ([]byte, error) { return os.ReadFile(b.logFile()) }

// Stop implements Backing.
func (b *processBacking) Stop() {
	b.unit.Stop(grace)
	b.cancel()
}

func (b *processBacking) logFile() string {
	return filepath.Join(b.kind.Around.Config.Dir, "logs", b.launch.id()+".log")
}

// prepare projects the pod's volumes and settles arguments and environment.
func (b *processBacking) prepare(ctx context.Context) (child.Spec, error) {
	if err := b.launch.files.refresh(ctx); err != nil {
		return child.Spec{}, fmt.Errorf("volumes: %w", err)
	}
	if err := b.launch.writeKubeconfig(); err != nil {
		return child.Spec{}, err
	}
	environment, err := b.launch.environment()
	if err != nil {
		return child.Spec{}, err
	}
	var env []string
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		env = append(env, name+"="+environment[name])
	}
	if b.kind.Prepare != nil {
		if err := b.kind.Prepare(b.launch); err != nil {
			return child.Spec{}, err
		}
	}
	path, args := b.launch.command()
	spec := child.Spec{
		Name: b.launch.id(), Path: path, Args: args,
		Env: env, Dir: b.launch.dir(), LogFile: b.logFile(), PidDir: filepath.Join(b.kind.Around.Config.Dir, "pids"),
	}
	if !b.kind.Around.Roots {
		return spec, nil
	}
	root, err := b.launch.root()
	if err != nil {
		return spec, err
	}
	return root.In(spec)
}

// restarted is called at every start and end: what was ready is so no longer.
func (b *processBacking) restarted() {
	b.setReady(false)
	b.changed()
}

func (b *processBacking) setReady(ready bool) (changed bool) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	changed = b.ready != ready
	b.ready = ready
	return changed
}

func (b *processBacking) watchReadiness(ctx context.Context) {
	for {
		ready := b.unit.State().Running && b.kind.Ready.passes(ctx, b.launch)
		if b.setReady(ready) {
			b.changed()
		}
		pause := 300 * time.Millisecond
		if ready {
			pause = 2 * time.Second
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func containerOf(pod *core.Pod, name string) (core.Container, bool) {
	for _, container := range pod.Spec.Containers {
		if container.Name == name || name == "" {
			return container, true
		}
	}
	return core.Container{}, false
}
