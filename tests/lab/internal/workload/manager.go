// Package workload decides what stands behind pods: the real controllers run as
// ordinary processes beside the control plane, each for as long as a pod of its
// workload runs on a simulated node.
package workload

import (
	"fmt"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"platctl.dev/lab/internal/child"
	"platctl.dev/lab/internal/node"
)

// Backing stands behind one pod.
type Backing interface {
	State() node.BackingState
	// Address is where a container port is really served, if not at the pod's address.
	Address(port int) (string, bool)
	// Log is what the container has written, if it writes one.
	Log() ([]byte, error)
	Stop()
}

// Kind makes backings for the pods it matches.
type Kind interface {
	Name() string
	Matches(pod *core.Pod) bool
	// Start must not block; changed is to be called when the backing's state changes.
	Start(pod *core.Pod, changed func()) Backing
}

// Controllable is a backing made of a process that a test may stop, start and kill.
type Controllable interface {
	Unit() *child.Unit
}

// Manager holds the backings of all running pods.
type Manager struct {
	// Look has the node look at a pod again.
	Look  func(types.NamespacedName)
	kinds []Kind

	mutex   sync.Mutex
	live    map[types.UID]*entry
	stopped map[string]bool
}

type entry struct {
	kind    string
	pod     string
	backing Backing
}

// NewManager knows the kinds, tried in order.
func NewManager(kinds ...Kind) *Manager {
	return &Manager{kinds: kinds, live: map[types.UID]*entry{}, stopped: map[string]bool{}}
}

// Ensure implements node.Backings.
func (m *Manager) Ensure(pod *core.Pod) *node.BackingState {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	found := m.live[pod.UID]
	if found == nil {
		if found = m.start(pod); found == nil {
			return nil
		}
		m.live[pod.UID] = found
	}
	state := found.backing.State()
	return &state
}

func (m *Manager) start(pod *core.Pod) *entry {
	key := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
	for _, kind := range m.kinds {
		if !kind.Matches(pod) {
			continue
		}
		backing := kind.Start(pod, func() { m.Look(key) })
		if controllable, ok := backing.(Controllable); ok && !m.stopped[kind.Name()] {
			controllable.Unit().Start()
		}
		return &entry{kind: kind.Name(), pod: key.String(), backing: backing}
	}
	return nil
}

// Release implements node.Backings; the process ends in its own time.
func (m *Manager) Release(uid types.UID) {
	m.mutex.Lock()
	found := m.live[uid]
	delete(m.live, uid)
	m.mutex.Unlock()
	if found != nil {
		go found.backing.Stop()
	}
}

// LocalAddress implements network.Ports.
func (m *Manager) LocalAddress(uid types.UID, port int) (string, bool) {
	m.mutex.Lock()
	found := m.live[uid]
	m.mutex.Unlock()
	if found == nil {
		return "", false
	}
	return found.backing.Address(port)
}

// Log of the container behind a pod; false when nothing real stands there.
func (m *Manager) Log(pod *core.Pod, container string) ([]byte, bool) {
	m.mutex.Lock()
	found := m.live[pod.UID]
	m.mutex.Unlock()
	if found == nil || found.backing.State().Container != container {
		return nil, false
	}
	text, err := found.backing.Log()
	return text, err == nil && text != nil
}

// Control does "stop", "start" or "kill" to every process of a kind. Stop also
// holds for pods that come later.
func (m *Manager) Control(name, action string) error {
	m.mutex.Lock()
	known := false
	for _, kind := range m.kinds {
		known = known || kind.Name() == name
	}
	var units []*child.Unit
	for _, found := range m.live {
		if controllable, ok := found.backing.(Controllable); ok && found.kind == name {
			units = append(units, controllable.Unit())
		}
	}
	if action != "kill" {
		m.stopped[name] = action == "stop"
	}
	m.mutex.Unlock()
	if !known {
		return fmt.Errorf("no process called %q", name)
	}
	return Apply(units, action)
}

// Apply does an action to units.
func Apply(units []*child.Unit, action string) error {
	for _, unit := range units {
		switch action {
		case "stop":
			unit.Stop(grace)
		case "start":
			unit.Start()
		case "kill":
			unit.Kill()
		default:
			return fmt.Errorf("unknown action %q: stop, start or kill", action)
		}
	}
	return nil
}

const grace = 10 * time.Second

// Status of everything that stands behind pods, for the admin API.
type Status struct {
	Kind  string            `json:"kind"`
	Pod   string            `json:"pod"`
	Ready bool              `json:"ready"`
	Unit  *child.State      `json:"process,omitempty"`
	State node.BackingState `json:"-"`
}

// List what stands behind pods now.
func (m *Manager) List() []Status {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	list := []Status{}
	for _, found := range m.live {
		status := Status{Kind: found.kind, Pod: found.pod, Ready: found.backing.State().Ready}
		if controllable, ok := found.backing.(Controllable); ok {
			state := controllable.Unit().State()
			status.Unit = &state
		}
		list = append(list, status)
	}
	return list
}

// StopAll ends everything, for the end of the lab.
func (m *Manager) StopAll() {
	m.mutex.Lock()
	entries := m.live
	m.live = map[types.UID]*entry{}
	m.mutex.Unlock()
	var group sync.WaitGroup
	for _, found := range entries {
		group.Go(found.backing.Stop)
	}
	group.Wait()
}
