package node

import (
	"testing"
	"time"

	core "k8s.io/api/core/v1"
)

func podOf(node string, images ...string) *core.Pod {
	pod := &core.Pod{Spec: core.PodSpec{NodeName: node}}
	for _, image := range images {
		pod.Spec.Containers = append(pod.Spec.Containers, core.Container{Image: image})
	}
	return pod
}

func TestImagesArePulledOnceEachAndOneAfterTheOther(t *testing.T) {
	images := Images{Delay: 5 * time.Second}
	start := time.Unix(1000, 0)
	first, second := podOf("a", "x", "y"), podOf("a", "z")
	for _, step := range []struct {
		pod   *core.Pod
		after time.Duration
		want  time.Duration
	}{
		{first, 0, 5 * time.Second},                // x
		{second, time.Second, 9 * time.Second},     // z, behind x
		{podOf("b", "x"), 0, 5 * time.Second},      // another node
		{first, 5 * time.Second, 10 * time.Second}, // y was asked for after z
		{second, 10 * time.Second, 0},
		{first, 15 * time.Second, 0},
		{podOf("a", "z", "y", "x"), 20 * time.Second, 0}, // all there
		{podOf("a", "w"), 20 * time.Second, 5 * time.Second},
	} {
		if got := images.wait(step.pod, start.Add(step.after)); got != step.want {
			t.Errorf("after %s, pod of %s with %v: %s, want %s", step.after, step.pod.Spec.NodeName, step.pod.Spec.Containers, got, step.want)
		}
	}
}

func TestWithoutADelayImagesAreThere(t *testing.T) {
	if got := (&Images{}).wait(podOf("a", "x"), time.Unix(1000, 0)); got != 0 {
		t.Errorf("%s", got)
	}
}
