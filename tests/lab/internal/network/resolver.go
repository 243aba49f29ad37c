// Package network plays kube-proxy and cluster DNS: it finds the local address of
// the process that stands behind a Service or pod, and carries traffic to it.
package network

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"

	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	listers "k8s.io/client-go/listers/core/v1"

	"platctl.dev/lab/internal/node"
)

// Ports knows where the real process behind a pod listens when that is not the
// pod's own address.
type Ports interface {
	LocalAddress(pod types.UID, port int) (string, bool)
}

// Resolver turns a cluster address into one on loopback.
type Resolver struct {
	services  listers.ServiceLister
	pods      listers.PodLister
	addresses *node.Addresses
	ports     Ports
	// apiserver is where the Service default/kubernetes leads.
	apiserver string
	// kubelet is the one address outside the cluster network that may be dialled.
	kubelet string
}

// NewResolver reads Services and Pods from the informers.
func NewResolver(factory informers.SharedInformerFactory, addresses *node.Addresses, ports Ports, apiserver, kubelet string) *Resolver {
	return &Resolver{
		services: factory.Core().V1().Services().Lister(), pods: factory.Core().V1().Pods().Lister(),
		addresses: addresses, ports: ports, apiserver: apiserver, kubelet: kubelet,
	}
}

// Resolve finds the local address for host:port, or says why nothing answers there.
// A host of one word is looked up in the caller's namespace.
func (r *Resolver) Resolve(hostPort, callerNamespace string) (string, error) {
	host, portText, err := net.SplitHostPort(hostPort)
	if err != nil {
		return "", err
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return "", err
	}
	if hostPort == r.kubelet || hostPort == r.apiserver {
		return hostPort, nil
	}
	if ip := net.ParseIP(host); ip != nil {
		return r.resolveIP(ip, port)
	}
	namespace, name, ok := splitServiceName(host, callerNamespace)
	if !ok {
		return "", fmt.Errorf("no such host in the lab's cluster: %s", host)
	}
	service, err := r.services.Services(namespace).Get(name)
	if err != nil {
		return "", fmt.Errorf("no such host: %s: %w", host, err)
	}
	return r.resolveService(service, port)
}

// ResolvePod finds the local address of a pod's port.
func (r *Resolver) ResolvePod(pod *core.Pod, port int) (string, error) {
	if address, found := r.ports.LocalAddress(pod.UID, port); found {
		return address, nil
	}
	if ip := net.ParseIP(pod.Status.PodIP); ip == nil || !r.addresses.Contains(ip) {
		return "", fmt.Errorf("pod %s/%s has no address of its own", pod.Namespace, pod.Name)
	}
	return net.JoinHostPort(pod.Status.PodIP, strconv.Itoa(port)), nil
}

func (r *Resolver) resolveIP(ip net.IP, port int) (string, error) {
	if r.addresses.Contains(ip) {
		pods, _ := r.pods.List(labels.Everything())
		for _, pod := range pods {
			if pod.Status.PodIP == ip.String() {
				return r.ResolvePod(pod, port)
			}
		}
		return "", fmt.Errorf("no pod has address %s", ip)
	}
	services, _ := r.services.List(labels.Everything())
	for _, service := range services {
		if service.Spec.ClusterIP == ip.String() {
			return r.resolveService(service, port)
		}
	}
	return "", fmt.Errorf("no Service has address %s", ip)
}

func (r *Resolver) resolveService(service *core.Service, port int) (string, error) {
	if service.Namespace == "default" && service.Name == "kubernetes" {
		return r.apiserver, nil
	}
	for _, servicePort := range service.Spec.Ports {
		if int(servicePort.Port) == port {
			return r.resolveEndpoint(service, servicePort)
		}
	}
	return "", fmt.Errorf("service %s/%s has no port %d", service.Namespace, service.Name, port)
}

func (r *Resolver) resolveEndpoint(service *core.Service, port core.ServicePort) (string, error) {
	if len(service.Spec.Selector) == 0 {
		return "", fmt.Errorf("service %s/%s has no selector", service.Namespace, service.Name)
	}
	pods, _ := r.pods.Pods(service.Namespace).List(labels.SelectorFromSet(service.Spec.Selector))
	var candidates []*core.Pod
	for _, pod := range pods {
		if pod.DeletionTimestamp == nil && (isReady(pod) || service.Spec.PublishNotReadyAddresses) {
			candidates = append(candidates, pod)
		}
	}
	if len(candidates) == 0 {
		return "", fmt.Errorf("service %s/%s has no ready endpoint", service.Namespace, service.Name)
	}
	pod := candidates[rand.IntN(len(candidates))]
	target, err := targetPort(pod, port)
	if err != nil {
		return "", err
	}
	return r.ResolvePod(pod, target)
}

func isReady(pod *core.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == core.PodReady {
			return condition.Status == core.ConditionTrue
		}
	}
	return false
}

func targetPort(pod *core.Pod, port core.ServicePort) (int, error) {
	if port.TargetPort.IntValue() != 0 {
		return port.TargetPort.IntValue(), nil
	}
	if port.TargetPort.StrVal == "" {
		return int(port.Port), nil
	}
	for _, container := range append(append([]core.Container{}, pod.Spec.Containers...), pod.Spec.InitContainers...) {
		for _, named := range container.Ports {
			if named.Name == port.TargetPort.StrVal {
				return int(named.ContainerPort), nil
			}
		}
	}
	return 0, fmt.Errorf("pod %s/%s has no port named %s", pod.Namespace, pod.Name, port.TargetPort.StrVal)
}

// splitServiceName accepts name.namespace, and the same with .svc or .svc.cluster.local.
func splitServiceName(host, callerNamespace string) (namespace, name string, ok bool) {
	host = strings.TrimSuffix(strings.TrimSuffix(host, "."), ".cluster.local")
	parts := strings.Split(strings.TrimSuffix(host, ".svc"), ".")
	if len(parts) == 1 && callerNamespace != "" {
		parts = append(parts, callerNamespace)
	}
	if len(parts) != 2 {
		return "", "", false
	}
	return parts[1], parts[0], true
}
