package node

import (
	"context"
	"log"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"
)

const workers = 8

// Backings starts and stops what stands behind pods.
type Backings interface {
	// Ensure starts what stands behind a running pod, once, and tells how it is;
	// nil for a pod that is only simulated.
	Ensure(pod *core.Pod) *BackingState
	// Release stops it.
	Release(uid types.UID)
}

// Pods brings pods that are bound to the lab's nodes to life.
type Pods struct {
	Rules    Rules
	Delay    time.Duration
	Images   Images
	Backings Backings

	client     kubernetes.Interface
	addresses  *Addresses
	nodes      map[string]bool
	pods       listers.PodLister
	references references
	events     record.EventRecorder
	queue      workqueue.TypedRateLimitingInterface[types.NamespacedName]

	mutex   sync.Mutex
	records map[types.NamespacedName]*history
}

// history is what the node remembers about a pod.
type history struct {
	uid   types.UID
	ip    string
	stage stage
	since time.Time
	// began is when nothing stood in the way of starting any more.
	began     time.Time
	complaint string
	complains time.Time
}

// NewPods wires the simulation to the informers.
func NewPods(client kubernetes.Interface, factory informers.SharedInformerFactory, addresses *Addresses, nodes []string, events record.EventRecorder) *Pods {
	pods := &Pods{
		client: client, addresses: addresses, nodes: map[string]bool{}, events: events,
		pods: factory.Core().V1().Pods().Lister(),
		references: references{
			secrets:    factory.Core().V1().Secrets().Lister(),
			configMaps: factory.Core().V1().ConfigMaps().Lister(),
		},
		queue:   workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[types.NamespacedName](20*time.Millisecond, 2*time.Second)),
		records: map[types.NamespacedName]*history{},
	}
	for _, name := range nodes {
		pods.nodes[name] = true
	}
	enqueue := func(object any) {
		if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if pod, ok := object.(*core.Pod); ok {
			pods.Look(types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	_, _ = factory.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: enqueue, UpdateFunc: func(_, object any) { enqueue(object) }, DeleteFunc: enqueue,
	})
	return pods
}

// Run works until ctx ends.
func (p *Pods) Run(ctx context.Context) {
	for range workers {
		go func() {
			for p.next(ctx) {
			}
		}()
	}
	<-ctx.Done()
	p.queue.ShutDown()
}

// Look has a pod looked at again.
func (p *Pods) Look(key types.NamespacedName) { p.queue.Add(key) }

// LookAll has all pods looked at, after the rules have changed.
func (p *Pods) LookAll() {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for key := range p.records {
		p.queue.Add(key)
	}
}

func (p *Pods) next(ctx context.Context) bool {
	key, shutdown := p.queue.Get()
	if shutdown {
		return false
	}
	defer p.queue.Done(key)
	again, err := p.reconcile(ctx, key)
	if err != nil {
		if !apierrors.IsConflict(err) && ctx.Err() == nil {
			log.Printf("pod %s: %v", key, err)
		}
		p.queue.AddRateLimited(key)
		return true
	}
	p.queue.Forget(key)
	if again > 0 {
		p.queue.AddAfter(key, again)
	}
	return true
}

// reconcile reports a pod's status as it should be now, and when to look again.
func (p *Pods) reconcile(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	pod, err := p.pods.Pods(key.Namespace).Get(key.Name)
	if apierrors.IsNotFound(err) {
		p.forget(key)
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	if !p.nodes[pod.Spec.NodeName] {
		return 0, nil
	}
	if pod.DeletionTimestamp != nil {
		return 0, p.remove(ctx, pod)
	}
	if pod.Status.Phase == core.PodSucceeded || pod.Status.Phase == core.PodFailed {
		p.Backings.Release(pod.UID)
		return 0, nil
	}
	memory := p.remember(key, pod)
	view, again := p.decide(pod, memory)
	p.complain(pod, memory, view)
	status := statusOf(pod, view, time.Now())
	if equality.Semantic.DeepEqual(status, pod.Status) {
		return again, nil
	}
	changed := pod.DeepCopy()
	changed.Status = status
	_, err = p.client.CoreV1().Pods(key.Namespace).UpdateStatus(ctx, changed, meta.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		err = nil
	}
	return again, err
}

// remove finishes a graceful deletion at once, as no container needs time to end.
func (p *Pods) remove(ctx context.Context, pod *core.Pod) error {
	p.Backings.Release(pod.UID)
	now := int64(0)
	err := p.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, meta.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: meta.NewUIDPreconditions(string(pod.UID)),
	})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func (p *Pods) remember(key types.NamespacedName, pod *core.Pod) *history {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	memory := p.records[key]
	if memory == nil || memory.uid != pod.UID {
		if memory != nil {
			p.Backings.Release(memory.uid)
		}
		ip := HostIP
		if !pod.Spec.HostNetwork {
			ip = p.addresses.Next()
		}
		now := time.Now()
		memory = &history{uid: pod.UID, ip: ip, since: now, began: now}
		p.records[key] = memory
	}
	return memory
}

func (p *Pods) forget(key types.NamespacedName) {
	p.mutex.Lock()
	memory := p.records[key]
	delete(p.records, key)
	p.mutex.Unlock()
	if memory != nil {
		p.Backings.Release(memory.uid)
	}
}
