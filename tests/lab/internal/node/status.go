package node

import (
	"fmt"
	"math"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// stage is how far a pod has come.
type stage int

const (
	creating stage = iota
	pulling        // the image does not come
	crashing
	running
	succeeded
)

// outlook is what the node has decided about a pod at one moment; statusOf turns
// it into the status that a kubelet would report.
type outlook struct {
	ip      string
	stage   stage
	blocked *blockage
	// since is when the stage began.
	since time.Time
	ready bool
	// backing is what stands behind one of the containers, if anything does.
	backing *BackingState
}

// BackingState is what a node knows about the thing behind a container.
type BackingState struct {
	Container      string
	Running, Ready bool
	Restarts       int32
	ExitCode       *int32
	Started, Ended time.Time
	Message        string
}

// statusOf is pure but for the times: it keeps those of the old status wherever
// nothing changed, so that an unchanged pod yields an unchanged status.
func statusOf(pod *core.Pod, view outlook, now time.Time) core.PodStatus {
	status := *pod.Status.DeepCopy()
	if status.StartTime == nil {
		start := meta.NewTime(now)
		status.StartTime = &start
	}
	status.HostIP, status.HostIPs = HostIP, []core.HostIP{{IP: HostIP}}
	status.PodIP, status.PodIPs = view.ip, []core.PodIP{{IP: view.ip}}
	status.ObservedGeneration = pod.Generation
	status.Phase = phaseOf(view.stage)
	status.InitContainerStatuses = statuses(pod, pod.Spec.InitContainers, pod.Status.InitContainerStatuses, view, now)
	status.ContainerStatuses = statuses(pod, pod.Spec.Containers, pod.Status.ContainerStatuses, view, now)
	setConditions(&status, pod, view, now)
	return status
}

func phaseOf(s stage) core.PodPhase {
	switch s {
	case creating, pulling:
		return core.PodPending
	case succeeded:
		return core.PodSucceeded
	}
	return core.PodRunning
}

func statuses(pod *core.Pod, containers []core.Container, old []core.ContainerStatus, view outlook, now time.Time) []core.ContainerStatus {
	before := map[string]core.ContainerStatus{}
	for _, status := range old {
		before[status.Name] = status
	}
	var result []core.ContainerStatus
	for _, container := range containers {
		result = append(result, containerStatus(pod, container, before[container.Name], view, now))
	}
	return result
}

func containerStatus(pod *core.Pod, container core.Container, old core.ContainerStatus, view outlook, now time.Time) core.ContainerStatus {
	isInit := isInitContainer(pod, container.Name)
	isSidecar := isInit && container.RestartPolicy != nil && *container.RestartPolicy == core.ContainerRestartPolicyAlways
	status := core.ContainerStatus{
		Name: container.Name, Image: container.Image, RestartCount: old.RestartCount,
		LastTerminationState: old.LastTerminationState,
	}
	switch {
	case view.stage == creating:
		status.State.Waiting = waitingToStart(pod, view)
	case view.stage == pulling:
		status.State.Waiting = pullProblem(pod, container, isInit, now.Sub(view.since))
	case isInit && !isSidecar:
		finish(&status, old, now)
	case view.stage == succeeded:
		finish(&status, old, now)
		status.Ready = false
	case view.stage == crashing && !isInit:
		crash(&status, pod, now.Sub(view.since), view.since)
	case view.backing != nil && view.backing.Container == container.Name:
		fromBacking(&status, old, pod, *view.backing, view.ready, now)
	default:
		run(&status, old, now)
		status.Ready = view.ready || isSidecar
	}
	started := status.State.Running != nil
	status.Started = &started
	if status.State.Waiting == nil {
		status.ImageID = "simulated/" + container.Image
		status.ContainerID = "simulated://" + string(pod.UID) + "/" + container.Name
	}
	return status
}

func isInitContainer(pod *core.Pod, name string) bool {
	for _, container := range pod.Spec.InitContainers {
		if container.Name == name {
			return true
		}
	}
	return false
}

func waitingToStart(pod *core.Pod, view outlook) *core.ContainerStateWaiting {
	switch {
	case view.blocked != nil && view.blocked.Reason != "ContainerCreating":
		return &core.ContainerStateWaiting{Reason: view.blocked.Reason, Message: view.blocked.Message}
	case len(pod.Spec.InitContainers) > 0:
		return &core.ContainerStateWaiting{Reason: "PodInitializing"}
	}
	return &core.ContainerStateWaiting{Reason: "ContainerCreating"}
}

// pullProblem alternates like a kubelet's: the error itself first, then the back-off.
func pullProblem(pod *core.Pod, container core.Container, isInit bool, age time.Duration) *core.ContainerStateWaiting {
	if len(pod.Spec.InitContainers) > 0 && !isInit {
		return &core.ContainerStateWaiting{Reason: "PodInitializing"}
	}
	if age < time.Second {
		return &core.ContainerStateWaiting{Reason: "ErrImagePull", Message: pullMessage(container.Image)}
	}
	return &core.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: fmt.Sprintf(
		"Back-off pulling image %q: ErrImagePull: %s", container.Image, pullMessage(container.Image))}
}

func pullMessage(image string) string {
	return fmt.Sprintf("failed to pull and unpack image %q: failed to resolve reference %q: %s: not found", image, image, image)
}

// crash writes a back-off whose restart count grows with the logarithm of the age.
func crash(status *core.ContainerStatus, pod *core.Pod, age time.Duration, since time.Time) {
	restarts := crashes(age)
	backOff := min(10<<min(restarts-1, 5), 300)
	status.RestartCount = int32(restarts)
	status.State.Waiting = &core.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: backOffMessage(status.Name, pod, backOff)}
	ended := meta.NewTime(since.Add(time.Duration(1<<(restarts-1)-1) * time.Second).Truncate(time.Second))
	status.LastTerminationState = core.ContainerState{Terminated: &core.ContainerStateTerminated{
		ExitCode: 1, Reason: "Error", StartedAt: ended, FinishedAt: ended,
		ContainerID: "simulated://" + string(pod.UID) + "/" + status.Name,
	}}
}

func crashes(age time.Duration) int {
	return 1 + int(math.Log2(1+age.Seconds()))
}

func backOffMessage(container string, pod *core.Pod, seconds int) string {
	return fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
		time.Duration(seconds)*time.Second, container, pod.Name, pod.Namespace, pod.UID)
}

func run(status *core.ContainerStatus, old core.ContainerStatus, now time.Time) {
	if old.State.Running != nil {
		status.State = old.State
		return
	}
	status.State.Running = &core.ContainerStateRunning{StartedAt: meta.NewTime(now)}
}

func finish(status *core.ContainerStatus, old core.ContainerStatus, now time.Time) {
	status.Ready = true
	if old.State.Terminated != nil {
		status.State = old.State
		return
	}
	started := meta.NewTime(now)
	if old.State.Running != nil {
		started = old.State.Running.StartedAt
	}
	status.State.Terminated = &core.ContainerStateTerminated{Reason: "Completed", StartedAt: started, FinishedAt: meta.NewTime(now)}
}

func fromBacking(status *core.ContainerStatus, old core.ContainerStatus, pod *core.Pod, backing BackingState, ready bool, now time.Time) {
	status.RestartCount = backing.Restarts
	if backing.ExitCode != nil {
		reason := "Completed"
		if *backing.ExitCode != 0 {
			reason = "Error"
		}
		status.LastTerminationState.Terminated = &core.ContainerStateTerminated{
			ExitCode: *backing.ExitCode, Reason: reason, Message: backing.Message,
			StartedAt: meta.NewTime(backing.Started.Truncate(time.Second)), FinishedAt: meta.NewTime(backing.Ended.Truncate(time.Second)),
		}
	}
	if !backing.Running && backing.ExitCode != nil {
		status.State.Waiting = &core.ContainerStateWaiting{Reason: "CrashLoopBackOff", Message: backOffMessage(status.Name, pod, 10)}
		return
	}
	if old.RestartCount != backing.Restarts {
		old.State.Running = nil
	}
	run(status, old, now)
	status.Ready = ready
}
