package node

import (
	"sync"
	"time"

	core "k8s.io/api/core/v1"
)

// Images is which node has which image, or when it will. As a kubelet does by
// default, a node pulls one image at a time, in the order in which its pods ask, and
// a pod asks for the image of a container when those before it are there.
type Images struct {
	// Delay is how long a pull takes; zero for images that are always there.
	Delay time.Duration

	mutex sync.Mutex
	nodes map[string]*nodeImages
}

type nodeImages struct {
	there map[string]time.Time
	// free is when all that was asked for is there.
	free time.Time
}

// wait is how long the node of a pod still pulls the image that the pod asks for.
func (i *Images) wait(pod *core.Pod, now time.Time) time.Duration {
	if i.Delay == 0 {
		return 0
	}
	i.mutex.Lock()
	defer i.mutex.Unlock()
	for _, containers := range [][]core.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for _, container := range containers {
			if there := i.ask(pod.Spec.NodeName, container.Image, now); there.After(now) {
				return there.Sub(now)
			}
		}
	}
	return 0
}

// ask tells when the image is there, and begins or queues the pull.
func (i *Images) ask(name, image string, now time.Time) time.Time {
	if i.nodes == nil {
		i.nodes = map[string]*nodeImages{}
	}
	node := i.nodes[name]
	if node == nil {
		node = &nodeImages{there: map[string]time.Time{}}
		i.nodes[name] = node
	}
	there, known := node.there[image]
	if !known {
		if node.free.Before(now) {
			node.free = now
		}
		node.free = node.free.Add(i.Delay)
		there = node.free
		node.there[image] = there
	}
	return there
}
