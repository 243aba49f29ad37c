package node

import (
	"fmt"
	"strings"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// setConditions derives the pod's conditions from its container statuses.
func setConditions(status *core.PodStatus, pod *core.Pod, view outlook, now time.Time) {
	notReady := notReadyContainers(status.ContainerStatuses)
	set := func(kind core.PodConditionType, good bool, reason, message string) {
		setCondition(status, pod, core.PodCondition{Type: kind, Status: truth(good), Reason: reason, Message: message}, now)
	}
	set(core.PodReadyToStartContainers, view.stage != creating || view.blocked == nil, "", "")
	if initialized := view.stage > pulling || len(pod.Spec.InitContainers) == 0; initialized {
		set(core.PodInitialized, true, "", "")
	} else {
		set(core.PodInitialized, false, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: [%s]", initNames(pod)))
	}
	for _, kind := range []core.PodConditionType{core.PodReady, core.ContainersReady} {
		switch {
		case view.stage == succeeded:
			set(kind, false, "PodCompleted", "")
		case len(notReady) > 0:
			set(kind, false, "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", strings.Join(notReady, " ")))
		default:
			set(kind, true, "", "")
		}
	}
}

func notReadyContainers(statuses []core.ContainerStatus) []string {
	var names []string
	for _, status := range statuses {
		if !status.Ready {
			names = append(names, status.Name)
		}
	}
	return names
}

func initNames(pod *core.Pod) string {
	names := make([]string, 0, len(pod.Spec.InitContainers))
	for _, container := range pod.Spec.InitContainers {
		names = append(names, container.Name)
	}
	return strings.Join(names, " ")
}

func truth(good bool) core.ConditionStatus {
	if good {
		return core.ConditionTrue
	}
	return core.ConditionFalse
}

func setCondition(status *core.PodStatus, pod *core.Pod, condition core.PodCondition, now time.Time) {
	condition.ObservedGeneration = pod.Generation
	condition.LastTransitionTime = meta.NewTime(now)
	for i, old := range status.Conditions {
		if old.Type != condition.Type {
			continue
		}
		if old.Status == condition.Status {
			condition.LastTransitionTime = old.LastTransitionTime
		}
		condition.LastProbeTime = old.LastProbeTime
		status.Conditions[i] = condition
		return
	}
	status.Conditions = append(status.Conditions, condition)
}
