package network

import (
	"context"
	"fmt"
	"log"
	"sync"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
)

// BalancerCIDR lies beside the range of pods: a range for documentation is what others take for their addresses too.
const BalancerCIDR = "10.87.0.0/24"

// LoadBalancers gives Services of type LoadBalancer an address of BalancerCIDR. It
// leads nowhere unless there is a kube-proxy, which makes it work on its node.
type LoadBalancers struct {
	client   kubernetes.Interface
	services listers.ServiceLister
	wake     chan struct{}

	mutex   sync.Mutex
	enabled bool
	given   map[types.UID]string
}

// NewLoadBalancers watches Services; it works once Run is called.
func NewLoadBalancers(client kubernetes.Interface, factory informers.SharedInformerFactory) *LoadBalancers {
	balancers := &LoadBalancers{
		client: client, services: factory.Core().V1().Services().Lister(),
		wake: make(chan struct{}, 1), enabled: true, given: map[types.UID]string{},
	}
	_, _ = factory.Core().V1().Services().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { balancers.poke() }, UpdateFunc: func(any, any) { balancers.poke() },
	})
	return balancers
}

// Enable turns the load balancer on, or off, which takes all addresses away.
func (l *LoadBalancers) Enable(enabled bool) {
	l.mutex.Lock()
	l.enabled = enabled
	l.mutex.Unlock()
	l.poke()
}

// Enabled tells whether addresses are given.
func (l *LoadBalancers) Enabled() bool {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.enabled
}

// Run works until ctx ends.
func (l *LoadBalancers) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		if err := l.sweep(ctx); err != nil && ctx.Err() == nil {
			if !apierrors.IsConflict(err) {
				log.Printf("load balancer: %v", err)
			}
			time.AfterFunc(time.Second, l.poke)
		}
	}
}

func (l *LoadBalancers) poke() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *LoadBalancers) sweep(ctx context.Context) error {
	services, err := l.services.List(labels.Everything())
	if err != nil {
		return err
	}
	var failed error
	for _, service := range services {
		if service.Spec.Type == core.ServiceTypeLoadBalancer && service.DeletionTimestamp == nil {
			if err := l.settle(ctx, service); err != nil {
				failed = err
			}
		}
	}
	return failed
}

func (l *LoadBalancers) settle(ctx context.Context, service *core.Service) error {
	address := l.addressFor(service)
	current := service.Status.LoadBalancer.Ingress
	if (address == "" && len(current) == 0) || (len(current) == 1 && current[0].IP == address) {
		return nil
	}
	changed := service.DeepCopy()
	changed.Status.LoadBalancer = core.LoadBalancerStatus{}
	if address != "" {
		changed.Status.LoadBalancer.Ingress = []core.LoadBalancerIngress{{IP: address}}
	}
	_, err := l.client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, changed, meta.UpdateOptions{})
	return err
}

func (l *LoadBalancers) addressFor(service *core.Service) string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if !l.enabled {
		return ""
	}
	if _, found := l.given[service.UID]; !found {
		l.given[service.UID] = fmt.Sprintf("10.87.0.%d", 10+len(l.given)%240)
	}
	return l.given[service.UID]
}
