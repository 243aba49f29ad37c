// Package child starts the lab's child processes so that none can outlive the lab:
// each dies with its parent (PR_SET_PDEATHSIG), and leaves a pid file by which
// `lab down` finds it after a crash.
package child

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Spec says what to run.
type Spec struct {
	Name string
	Path string
	Args []string
	Env  []string
	Dir  string
	// LogFile gets both output streams, appended.
	LogFile string
	// PidDir gets <Name>.pid.
	PidDir string
	// Namespaces are clone flags of namespaces that the process gets for itself.
	Namespaces uintptr

	root *Root
}

// Child is a running or finished process.
type Child struct {
	Started time.Time
	cmd     *exec.Cmd
	pidFile string
	done    chan struct{}
}

type startRequest struct {
	cmd    *exec.Cmd
	result chan error
}

var starter = sync.OnceValue(func() chan startRequest {
	requests := make(chan startRequest)
	go func() {
		// The death signal is tied to the thread that forked, so all children are
		// started from one thread that is never given back.
		runtime.LockOSThread()
		for request := range requests {
			request.result <- request.cmd.Start()
		}
	}()
	return requests
})

// Start runs the process and returns at once.
func Start(spec Spec) (*Child, error) {
	log, err := os.OpenFile(spec.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(spec.Path, spec.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = spec.Env, spec.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Cloneflags: spec.Namespaces}
	if spec.root != nil {
		spec.root.namespaces(cmd.SysProcAttr)
	}
	request := startRequest{cmd, make(chan error, 1)}
	starter() <- request
	if err := <-request.result; err != nil {
		return nil, fmt.Errorf("start %s: %w", spec.Name, err)
	}
	child := &Child{
		Started: time.Now(), cmd: cmd, done: make(chan struct{}),
		pidFile: filepath.Join(spec.PidDir, spec.Name+".pid"),
	}
	WritePidFile(child.pidFile, cmd.Process.Pid)
	go child.wait()
	return child, nil
}

func (c *Child) wait() {
	_ = c.cmd.Wait()
	// What the process itself started goes with it.
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	_ = os.Remove(c.pidFile)
	close(c.done)
}

// Done is closed when the process has ended.
func (c *Child) Done() <-chan struct{} { return c.done }

// Pid of the process.
func (c *Child) Pid() int { return c.cmd.Process.Pid }

// ExitCode as a shell would report it; only valid after Done.
func (c *Child) ExitCode() int {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return c.cmd.ProcessState.ExitCode()
}

// Kill ends the process group at once.
func (c *Child) Kill() {
	_ = syscall.Kill(-c.cmd.Process.Pid, syscall.SIGKILL)
	<-c.done
}

// Stop asks the process to end and kills it after the grace period.
func (c *Child) Stop(grace time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(grace):
		c.Kill()
	}
}

// Alive tells whether a process with this id exists.
func Alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
