package policy

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	// Changes come in bursts: one rollout is dozens of them.
	debounce = 50 * time.Millisecond
	retry    = time.Second
	// removalPatience bounds the removal at the end, when the context is over already.
	removalPatience = 10 * time.Second
)

// Options of Run.
type Options struct {
	Scope
	// Socket is where the CNI plugin announces addresses (see Plugin); empty for
	// nowhere.
	Socket string
	// Ready is called once the policies of the API server are in force.
	Ready func()
}

// Run keeps the NetworkPolicies in force until ctx ends, and removes the table then.
// From the start until the API server has been asked, no pod has a network. The
// identity of config must be able to list and watch Pods, Namespaces and
// NetworkPolicies.
func Run(ctx context.Context, config *rest.Config, options Options) error {
	if err := check(options.PodCIDRs); err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("watch the NetworkPolicies: %w", err)
	}
	return run(ctx, client, nodeTable(), options)
}

// check looks for what Run relies on and would silently go wrong without.
func check(podCIDRs []netip.Prefix) error {
	if _, err := exec.LookPath("nft"); err != nil {
		return fmt.Errorf("put NetworkPolicies in force: %w\nhint: install the package nftables", err)
	}
	settings := map[string]bool{}
	for _, cidr := range podCIDRs {
		settings["bridge-nf-call-"+map[bool]string{true: "iptables", false: "ip6tables"}[cidr.Addr().Is4()]] = true
	}
	for setting := range settings {
		if err := checkSetting("/proc/sys/net/bridge/" + setting); err != nil {
			return err
		}
	}
	return nil
}

func checkSetting(path string) error {
	const what = "put NetworkPolicies in force: traffic between pods on a bridge would pass unseen"
	value, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s: %w\nhint: load the kernel module br_netfilter", what, err)
	}
	if strings.TrimSpace(string(value)) != "1" {
		return fmt.Errorf("%s: %s is %s\nhint: echo 1 > %s", what, path, strings.TrimSpace(string(value)), path)
	}
	return nil
}

// watcher keeps the table as the API server has it.
type watcher struct {
	table   *table
	scope   Scope
	factory informers.SharedInformerFactory
	// changed holds at most one: a second change before the next round is the same.
	changed chan struct{}
	news    announcements
	told    map[string]bool
}

func run(ctx context.Context, client kubernetes.Interface, table *table, options Options) (err error) {
	w := &watcher{
		table: table, scope: options.Scope, factory: informers.NewSharedInformerFactory(client, 0),
		changed: make(chan struct{}, 1), told: map[string]bool{},
	}
	w.news.changed = w.change
	nothing, _ := Compile(Objects{}, w.scope)
	if err := table.apply(ctx, nothing); err != nil {
		return err
	}
	defer func() {
		// The context is over by now.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), removalPatience)
		defer cancel()
		err = errors.Join(err, table.remove(last))
	}()
	if options.Socket != "" {
		stop, err := w.news.listen(options.Socket)
		if err != nil {
			return err
		}
		defer stop()
	}
	if err := w.watch(ctx); err != nil {
		return err
	}
	w.keep(ctx, options.Ready)
	return nil
}

// watch returns once all objects are known, or ctx is over.
func (w *watcher) watch(ctx context.Context) error {
	for _, informer := range []cache.SharedIndexInformer{
		w.factory.Core().V1().Pods().Informer(),
		w.factory.Core().V1().Namespaces().Informer(),
		w.factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { w.change() },
			UpdateFunc: func(any, any) { w.change() },
			DeleteFunc: func(any) { w.change() },
		})
		if err != nil {
			return fmt.Errorf("watch the NetworkPolicies: %w", err)
		}
	}
	w.factory.Start(ctx.Done())
	w.factory.WaitForCacheSync(ctx.Done())
	return nil
}

func (w *watcher) change() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// keep applies each change. What fails is tried again, from scratch.
func (w *watcher) keep(ctx context.Context, ready func()) {
	w.change()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.changed:
		}
		if !pause(ctx, debounce) {
			return
		}
		if err := w.update(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			log.Printf("%v (trying again)", err)
			pause(ctx, retry)
			w.change()
			continue
		}
		if ready != nil {
			ready()
			ready = nil
		}
	}
}

func pause(ctx context.Context, duration time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(duration):
		return true
	}
}

func (w *watcher) update(ctx context.Context) error {
	objects, err := w.objects()
	if err != nil {
		return err
	}
	ruleset, problems := Compile(objects, w.scope)
	for _, problem := range problems {
		if !w.told[problem.Error()] {
			w.told[problem.Error()] = true
			log.Print(problem)
		}
	}
	if applied := w.table.applied; applied == nil || applied.String() != ruleset.String() {
		if err := w.table.apply(ctx, ruleset); err != nil {
			return err
		}
	}
	w.news.inForce(ruleset)
	return nil
}

func (w *watcher) objects() (objects Objects, err error) {
	everything := labels.Everything()
	if objects.Pods, err = w.factory.Core().V1().Pods().Lister().List(everything); err != nil {
		return objects, fmt.Errorf("list the pods: %w", err)
	}
	if objects.Namespaces, err = w.factory.Core().V1().Namespaces().Lister().List(everything); err != nil {
		return objects, fmt.Errorf("list the namespaces: %w", err)
	}
	if objects.Policies, err = w.factory.Networking().V1().NetworkPolicies().Lister().List(everything); err != nil {
		return objects, fmt.Errorf("list the NetworkPolicies: %w", err)
	}
	objects.Announced = w.news.addresses()
	return objects, nil
}

// announcements are addresses that the CNI plugin has told of, and who waits for them
// to be in force.
type announcements struct {
	changed func()
	lock    sync.Mutex
	byPod   map[types.UID][]netip.Addr
	waiting map[types.UID][]chan struct{}
}

func (a *announcements) addresses() map[types.UID][]netip.Addr {
	a.lock.Lock()
	defer a.lock.Unlock()
	copied := map[types.UID][]netip.Addr{}
	for uid, addresses := range a.byPod {
		copied[uid] = slices.Clone(addresses)
	}
	return copied
}

// add returns what is closed once the addresses are in force.
func (a *announcements) add(uid types.UID, addresses []netip.Addr) <-chan struct{} {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.byPod == nil {
		a.byPod, a.waiting = map[types.UID][]netip.Addr{}, map[types.UID][]chan struct{}{}
	}
	done := make(chan struct{})
	a.byPod[uid] = addresses
	a.waiting[uid] = append(a.waiting[uid], done)
	a.changed()
	return done
}

// remove forgets a pod whose network is taken down.
func (a *announcements) remove(uid types.UID) {
	a.lock.Lock()
	defer a.lock.Unlock()
	delete(a.byPod, uid)
	delete(a.waiting, uid)
	a.changed()
}

// inForce ends the waiting for pods whose announced addresses are in the rules.
func (a *announcements) inForce(ruleset *Ruleset) {
	a.lock.Lock()
	defer a.lock.Unlock()
	for _, pod := range ruleset.endpoints {
		if !slices.Equal(pod.addresses, a.byPod[pod.UID]) {
			continue
		}
		for _, done := range a.waiting[pod.UID] {
			close(done)
		}
		delete(a.waiting, pod.UID)
	}
}
