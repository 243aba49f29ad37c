// Package postgres stands in for CloudNativePG's instance managers: the real
// operator asks every instance pod for its state over HTTPS, and this package
// answers as a PostgreSQL would that has no data and no clients. There is no
// database behind it.
package postgres

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"platctl.dev/lab/internal/workload"
)

const (
	clusterLabel = "cnpg.io/cluster"
	roleLabel    = "cnpg.io/podRole"
	container    = "postgres"
)

// Kind makes an instance of every pod that the operator has labelled as one.
type Kind struct {
	admin  kubernetes.Interface
	config *rest.Config

	// mutex guards everything below and the disks and roles of all instances: they
	// look at each other, as a standby does at its primary.
	mutex     sync.Mutex
	disks     map[types.UID]*disk
	instances map[types.UID]*instance
}

// disk is what a claim holds. It outlives pods and Clusters, as a volume does, so
// a Cluster that adopts kept claims finds the system it had.
type disk struct {
	systemID string
	timeline int
	lsn      uint64
	// primary is what the absence of standby.signal says in a real data directory.
	primary bool
}

// segment is the size of a WAL file; firstLSN is where initdb leaves a new system.
const (
	segment  = uint64(1) << 24
	firstLSN = uint64(0x3000060)
)

// NewKind acts with config, which must be allowed to impersonate ServiceAccounts.
func NewKind(admin kubernetes.Interface, config *rest.Config) *Kind {
	return &Kind{admin: admin, config: config, disks: map[types.UID]*disk{}, instances: map[types.UID]*instance{}}
}

// Name implements workload.Kind.
func (k *Kind) Name() string { return "postgres" }

// Matches implements workload.Kind.
func (k *Kind) Matches(pod *core.Pod) bool {
	return pod.Labels[roleLabel] == "instance" && pod.Labels[clusterLabel] != ""
}

// Start implements workload.Kind.
func (k *Kind) Start(pod *core.Pod, changed func()) workload.Backing {
	ctx, cancel := context.WithCancel(context.Background())
	started := &instance{
		kind: k, pod: pod, api: newAPI(k.config, pod), changed: changed, cancel: cancel,
		done: make(chan struct{}), started: time.Now(),
	}
	k.mutex.Lock()
	k.instances[pod.UID] = started
	k.mutex.Unlock()
	go started.run(ctx)
	return started
}

// mount finds what the pod's claim holds. An empty one is filled: by initdb for the
// first instance of a Cluster, by pg_basebackup from the primary for the others. On
// a real cluster the Jobs have done that; here they are simulated.
func (k *Kind) mount(claim types.UID, in *instance, cluster *cluster) *disk {
	k.mutex.Lock()
	defer k.mutex.Unlock()
	if found := k.disks[claim]; found != nil {
		return found
	}
	var made *disk
	if primary := k.primaryFor(in); primary != nil {
		copied := *primary.disk
		copied.primary = false
		made = &copied
	} else if cluster.targetPrimary == in.pod.Name && cluster.currentPrimary == "" {
		id := strconv.FormatUint(rand.Uint64N(1<<62)+1<<62, 10)
		made = &disk{systemID: id, timeline: 1, lsn: firstLSN, primary: true}
	} else {
		return nil
	}
	k.disks[claim] = made
	return made
}

// primaryFor is the running primary that an instance replicates from, or would.
// The caller holds the mutex.
func (k *Kind) primaryFor(in *instance) *instance {
	for _, other := range k.instances {
		if other != in && other.sameCluster(in) && other.serving && other.disk.primary &&
			(in.disk == nil || in.disk.systemID == other.disk.systemID) {
			return other
		}
	}
	return nil
}

// standbysOf lists the running instances that replicate from a primary. The caller
// holds the mutex.
func (k *Kind) standbysOf(in *instance) (standbys []*instance) {
	for _, other := range k.instances {
		if other != in && other.serving && !other.disk.primary && k.primaryFor(other) == in {
			standbys = append(standbys, other)
		}
	}
	return standbys
}
