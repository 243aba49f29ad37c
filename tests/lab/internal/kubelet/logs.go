package kubelet

import (
	"bytes"
	"fmt"
	"strconv"

	core "k8s.io/api/core/v1"
)

// SimulatedLog is what a container that does not exist would have written.
func SimulatedLog(pod *core.Pod, container, crash string) []byte {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name != container {
			continue
		}
		waiting := status.State.Waiting
		if waiting == nil || waiting.Reason != "CrashLoopBackOff" {
			continue
		}
		if crash == "" {
			crash = "fatal: could not start: listen tcp :8080: bind: permission denied"
		}
		return fmt.Appendf(nil, "starting %s\n%s\n", container, crash)
	}
	return fmt.Appendf(nil, "%s is simulated by the lab: it writes no log\n", container)
}

func lastLines(text []byte, count string) []byte {
	wanted, err := strconv.Atoi(count)
	if err != nil {
		return text
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	if last := len(lines) - 1; last >= 0 && len(lines[last]) == 0 {
		lines = lines[:last]
	}
	if len(lines) > wanted {
		lines = lines[len(lines)-wanted:]
	}
	return bytes.Join(lines, nil)
}
