package postgres

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"log"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"platctl.dev/lab/internal/node"
)

// tick is how often an instance looks at its Cluster.
const tick = 300 * time.Millisecond

// instance stands for one pod.
type instance struct {
	kind    *Kind
	pod     *core.Pod
	api     *api
	changed func()
	cancel  context.CancelFunc
	done    chan struct{}
	// server and version belong to the goroutine of run.
	server  *server
	version string

	// Guarded by the kind's mutex.
	disk           *disk
	cluster        *cluster
	certificate    *tls.Certificate
	serving        bool
	restarts       int32
	started, ended time.Time

	lines   sync.Mutex
	written bytes.Buffer
	last    string
}

func (in *instance) sameCluster(other *instance) bool {
	return in.pod.Namespace == other.pod.Namespace && in.pod.Labels[clusterLabel] == other.pod.Labels[clusterLabel]
}

// State implements workload.Backing.
func (in *instance) State() node.BackingState {
	in.kind.mutex.Lock()
	defer in.kind.mutex.Unlock()
	state := node.BackingState{
		Container: container, Running: true, Ready: in.serving, Restarts: in.restarts, Started: in.started, Ended: in.ended,
	}
	if in.restarts > 0 {
		state.ExitCode = new(int32)
	}
	return state
}

// Address implements workload.Backing: everything is at the pod's own address.
func (in *instance) Address(int) (string, bool) { return "", false }

// Log implements workload.Backing.
func (in *instance) Log() ([]byte, error) {
	in.lines.Lock()
	defer in.lines.Unlock()
	return bytes.Clone(in.written.Bytes()), nil
}

// Stop implements workload.Backing; the address refuses connections afterwards.
func (in *instance) Stop() {
	in.cancel()
	<-in.done
}

// say writes a line to the pod's log, once as long as nothing else is said.
func (in *instance) say(format string, values ...any) {
	line := fmt.Sprintf(format, values...)
	in.lines.Lock()
	defer in.lines.Unlock()
	if line == in.last {
		return
	}
	in.last = line
	fmt.Fprintf(&in.written, "{\"level\":\"info\",\"ts\":%q,\"logger\":\"instance-manager\",\"msg\":%q,\"logging_pod\":%q}\n",
		time.Now().UTC().Format(time.RFC3339Nano), line, in.pod.Name)
}

func (in *instance) run(ctx context.Context) {
	defer close(in.done)
	defer func() {
		in.kind.mutex.Lock()
		delete(in.kind.instances, in.pod.UID)
		in.serving = false
		in.kind.mutex.Unlock()
		in.server.close()
	}()
	for ctx.Err() == nil {
		if err := in.look(ctx); err != nil && ctx.Err() == nil {
			// A Cluster that is gone changes nothing: the pod will be deleted in turn.
			if !apierrors.IsNotFound(err) {
				log.Printf("postgres %s/%s: %v", in.pod.Namespace, in.pod.Name, err)
			}
			in.say("%v", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(tick):
		}
	}
}

// look does what the Cluster's state asks for.
func (in *instance) look(ctx context.Context) error {
	seen, err := in.api.cluster(ctx)
	if err != nil {
		return err
	}
	if err := in.renew(ctx, seen); err != nil {
		return err
	}
	if in.disk == nil && !in.attach(ctx, seen) {
		in.say("the data directory is empty and there is no primary to copy it from")
		return nil
	}
	next := in.turn(seen)
	if next == stop {
		in.say("this is a former primary; down until the Cluster has another")
		return in.setServing(false)
	}
	if err := in.setServing(true); err != nil {
		return err
	}
	if next == announce || next == promote {
		in.say("this is the primary now")
		return in.api.announce(ctx, in.pod.Name)
	}
	return nil
}

// turn takes the next step as far as it is about data.
func (in *instance) turn(seen *cluster) step {
	in.kind.mutex.Lock()
	defer in.kind.mutex.Unlock()
	in.cluster = seen
	primary := in.kind.primaryFor(in)
	next := nextStep(in.pod.Name, in.disk.primary, in.serving && primary != nil, seen)
	switch {
	case next == promote:
		in.disk.promoted()
	case next == rewind && primary == nil:
		// There is nobody to rewind from yet.
		return stop
	case primary != nil && (next == rewind || !in.disk.primary):
		in.disk.follow(primary.disk)
	}
	return next
}

// renew loads the server certificate whenever the operator has seen a new one.
func (in *instance) renew(ctx context.Context, seen *cluster) error {
	if seen.serverSecret == "" || (in.version == seen.secretVersion && in.certificate != nil) {
		return nil
	}
	certificate, err := in.api.certificate(ctx, seen.serverSecret)
	if err != nil {
		return err
	}
	in.kind.mutex.Lock()
	in.certificate = certificate
	in.kind.mutex.Unlock()
	in.version = seen.secretVersion
	return nil
}

// attach finds what the pod's claim holds; a pod without one has a disk of its own.
func (in *instance) attach(ctx context.Context, seen *cluster) bool {
	id := in.pod.UID
	if claim := dataClaim(in.pod); claim != "" {
		found, err := in.kind.admin.CoreV1().PersistentVolumeClaims(in.pod.Namespace).Get(ctx, claim, meta.GetOptions{})
		if err != nil {
			return false
		}
		id = found.UID
	}
	mounted := in.kind.mount(id, in, seen)
	in.kind.mutex.Lock()
	in.disk = mounted
	in.kind.mutex.Unlock()
	return mounted != nil
}

func dataClaim(pod *core.Pod) string {
	for _, volume := range pod.Spec.Volumes {
		if volume.Name == "pgdata" && volume.PersistentVolumeClaim != nil {
			return volume.PersistentVolumeClaim.ClaimName
		}
	}
	return ""
}

// setServing opens or closes the status port. A former primary's container really
// ends when it steps down and is started again by the kubelet: that is a restart.
func (in *instance) setServing(wanted bool) error {
	if wanted == (in.server != nil) || (wanted && in.certificate == nil) {
		return nil
	}
	if wanted {
		opened, err := listen(in)
		if err != nil {
			return err
		}
		in.server = opened
	} else {
		in.server.close()
		in.server = nil
	}
	in.kind.mutex.Lock()
	in.serving = wanted
	if !wanted {
		in.restarts++
		in.ended = time.Now()
	}
	in.kind.mutex.Unlock()
	in.changed()
	return nil
}

// session changes whenever the instance manager restarts.
func (in *instance) session() string {
	return fmt.Sprintf("%s-%d", in.pod.UID, in.restarts)
}
