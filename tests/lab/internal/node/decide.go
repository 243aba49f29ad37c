package node

import (
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
)

// poll is how often a pod is looked at while something outside may change it.
const poll = time.Second

// decide works out the stage of a pod and when to look again. Only one worker has
// a given pod at a time, so its history needs no lock.
func (p *Pods) decide(pod *core.Pod, memory *history) (outlook, time.Duration) {
	rule := p.Rules.For(pod)
	delay := p.Delay
	if rule.delay > 0 {
		delay = rule.delay
	}
	view := outlook{ip: memory.ip, since: memory.since}
	again := time.Duration(0)
	view.stage, view.blocked, again = p.stageOf(pod, memory, rule, delay)
	if view.stage != memory.stage {
		memory.stage, memory.since = view.stage, time.Now()
		view.since = memory.since
	}
	if view.stage != running {
		p.Backings.Release(pod.UID)
		return view, again
	}
	// What stands behind the pod reports changes by itself, by way of Look.
	addressed := pod.DeepCopy()
	addressed.Status.PodIP, addressed.Status.HostIP = memory.ip, HostIP
	view.backing = p.Backings.Ensure(addressed)
	view.ready = rule.Mode != NeverReady && (view.backing == nil || view.backing.Ready)
	return view, again
}

func (p *Pods) stageOf(pod *core.Pod, memory *history, rule Rule, delay time.Duration) (stage, *blockage, time.Duration) {
	if memory.stage != running {
		if blocked := p.references.missing(pod); blocked != nil {
			memory.began = time.Now()
			return creating, blocked, poll
		}
		if wait := p.Images.wait(pod, time.Now()); wait > 0 {
			memory.began = time.Now()
			return creating, nil, wait
		}
	}
	age := time.Since(memory.began)
	switch {
	case rule.Mode == ImagePull:
		return pulling, nil, poll
	case age < delay:
		return creating, nil, delay - age
	case rule.Mode == CrashLoop:
		return crashing, nil, poll
	case pod.Spec.RestartPolicy == core.RestartPolicyAlways:
		return running, nil, 0
	case rule.Mode == NeverReady:
		return running, nil, 0
	case age < 2*delay:
		return running, nil, 2*delay - age
	}
	return succeeded, nil, 0
}

// complain writes the warning events of a pod in trouble, now and then again.
func (p *Pods) complain(pod *core.Pod, memory *history, view outlook) {
	reason, message := complaint(pod, view)
	if reason == "" {
		memory.complaint = ""
		return
	}
	if memory.complaint == reason && time.Since(memory.complains) < 10*time.Second {
		return
	}
	memory.complaint, memory.complains = reason, time.Now()
	p.events.Event(pod, core.EventTypeWarning, reason, message)
	if view.stage == pulling {
		p.events.Event(pod, core.EventTypeWarning, "Failed", "Error: ImagePullBackOff")
	}
}

func complaint(pod *core.Pod, view outlook) (reason, message string) {
	container := pod.Spec.Containers[0]
	switch {
	case view.blocked != nil:
		return view.blocked.Event, view.blocked.Message
	case view.stage == pulling:
		return "Failed", fmt.Sprintf("Failed to pull image %q: %s", container.Image, pullMessage(container.Image))
	case view.stage == crashing, view.backing != nil && !view.backing.Running && view.backing.ExitCode != nil:
		return "BackOff", fmt.Sprintf("Back-off restarting failed container %s in pod %s_%s(%s)", container.Name, pod.Name, pod.Namespace, pod.UID)
	case view.stage == running && !view.ready && view.backing == nil && container.ReadinessProbe != nil:
		return "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"
	}
	return "", ""
}
