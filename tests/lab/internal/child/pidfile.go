package child

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// WritePidFile records a process with its start time, because a pid alone may
// belong to a stranger by the time somebody reads the file.
func WritePidFile(path string, pid int) {
	_ = os.WriteFile(path, fmt.Appendf(nil, "%d %s\n", pid, startTime(pid)), 0o644)
}

// ReadPidFile returns the recorded process, or 0 when it no longer runs. One that
// has ended and that nobody has asked about does not run.
func ReadPidFile(path string) int {
	pid := recorded(path)
	if pid != 0 && processState(pid) == "Z" {
		return 0
	}
	return pid
}

// recorded also counts a process that has ended as long as the kernel keeps its id:
// the rest of its group may still be there.
func recorded(path string) int {
	data, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	var pid int
	var started string
	if _, err := fmt.Sscanf(string(data), "%d %s", &pid, &started); err != nil {
		return 0
	}
	if !Alive(pid) || startTime(pid) != started {
		return 0
	}
	return pid
}

// KillLeftovers ends every process group recorded in dir: what a lab that was
// itself killed may have left behind.
func KillLeftovers(dir string) int {
	files, _ := filepath.Glob(filepath.Join(dir, "*.pid"))
	killed := 0
	for _, file := range files {
		if pid := recorded(file); pid != 0 {
			_ = syscall.Kill(-pid, syscall.SIGKILL)
			WaitGone(pid, 10*time.Second)
			killed++
		}
		_ = os.Remove(file)
	}
	return killed
}

// WaitGone waits until the process has ended.
func WaitGone(pid int, patience time.Duration) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if state := processState(pid); state == "" || state == "Z" {
			return true
		}
	}
	return false
}

func processState(pid int) string { return statField(pid, 0) }

func startTime(pid int) string { return statField(pid, 19) }

// statField counts from the field after the command name, which may hold spaces.
func statField(pid, index int) string {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, rest, found := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	if !found || len(fields) <= index {
		return ""
	}
	return fields[index]
}
