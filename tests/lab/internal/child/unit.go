package child

import (
	"log"
	"sync"
	"time"
)

// Unit keeps one process running: it starts it again when it ends, until Stop.
type Unit struct {
	Name string
	// Prepare is asked before every start, so tokens and ports may be fresh.
	Prepare func() (Spec, error)
	// Changed, if set, is called after every start and end.
	Changed func()
	// Backoff before the n-th restart; default one second.
	Backoff func(restarts int) time.Duration

	mutex    sync.Mutex
	child    *Child
	wanted   bool
	running  bool
	restarts int
	lastExit *int
	lastEnd  time.Time
	problem  error
	wake     chan struct{}
	finished chan struct{}
}

// State is what an observer may know about a unit.
type State struct {
	Wanted   bool      `json:"wanted"`
	Running  bool      `json:"running"`
	Pid      int       `json:"pid,omitempty"`
	Restarts int       `json:"restarts"`
	LastExit *int      `json:"lastExit,omitempty"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Problem  string    `json:"problem,omitempty"`
}

// Start begins keeping the process alive.
func (u *Unit) Start() {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	if u.wanted {
		return
	}
	u.wanted = true
	u.wake, u.finished = make(chan struct{}), make(chan struct{})
	go u.keep(u.wake, u.finished)
}

// Stop ends the process and waits for it.
func (u *Unit) Stop(grace time.Duration) {
	u.mutex.Lock()
	if !u.wanted {
		u.mutex.Unlock()
		return
	}
	u.wanted = false
	child, finished := u.child, u.finished
	close(u.wake)
	u.mutex.Unlock()
	if child != nil {
		child.Stop(grace)
	}
	<-finished
}

// Kill ends the process as a crash would; the unit starts it again.
func (u *Unit) Kill() {
	u.mutex.Lock()
	child := u.child
	u.mutex.Unlock()
	if child != nil {
		child.Kill()
	}
}

// State of the unit now.
func (u *Unit) State() State {
	u.mutex.Lock()
	defer u.mutex.Unlock()
	state := State{Wanted: u.wanted, Running: u.running, Restarts: u.restarts, LastExit: u.lastExit, Ended: u.lastEnd}
	if u.child != nil {
		state.Started = u.child.Started
		if u.running {
			state.Pid = u.child.Pid()
		}
	}
	if u.problem != nil {
		state.Problem = u.problem.Error()
	}
	return state
}

func (u *Unit) keep(stop <-chan struct{}, finished chan<- struct{}) {
	defer close(finished)
	for {
		child, err := u.launch()
		if err != nil {
			log.Printf("%s: %v", u.Name, err)
		} else if child != nil {
			<-child.Done()
			u.ended(child)
		}
		select {
		case <-stop:
			return
		case <-time.After(u.pause()):
		}
	}
}

func (u *Unit) launch() (*Child, error) {
	spec, err := u.Prepare()
	u.mutex.Lock()
	if err == nil && u.wanted {
		u.child, err = Start(spec)
		u.running = err == nil
	}
	u.problem = err
	child := u.child
	if err != nil || !u.running {
		child = nil
	}
	u.mutex.Unlock()
	u.changed()
	return child, err
}

func (u *Unit) ended(child *Child) {
	u.mutex.Lock()
	code := child.ExitCode()
	u.running, u.lastExit, u.lastEnd = false, &code, time.Now()
	wanted := u.wanted
	if wanted {
		u.restarts++
	}
	u.mutex.Unlock()
	if wanted {
		log.Printf("%s: ended with code %d", u.Name, code)
	}
	u.changed()
}

func (u *Unit) pause() time.Duration {
	if u.Backoff == nil {
		return time.Second
	}
	return u.Backoff(u.State().Restarts)
}

func (u *Unit) changed() {
	if u.Changed != nil {
		u.Changed()
	}
}
