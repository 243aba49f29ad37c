package faultproxy

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Counts tells how often each request was made since the last reset.
type Counts struct {
	mutex sync.Mutex
	since time.Time
	rows  map[rowKey]*Row
}

type rowKey struct {
	method, path string
	dryRun       bool
}

// Row counts one method and path; Statuses counts by answer, "0" meaning none.
type Row struct {
	Method   string         `json:"method"`
	Path     string         `json:"path"`
	DryRun   bool           `json:"dryRun,omitempty"`
	Write    bool           `json:"write,omitempty"`
	Count    int            `json:"count"`
	Faulted  int            `json:"faulted,omitempty"`
	Statuses map[string]int `json:"statuses"`
	// First and Last are when the requests came in.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
}

// Report is the admin API's answer to GET /requests. Writes leaves out dry runs,
// access reviews and requests that a fault stopped.
type Report struct {
	Since    time.Time `json:"since"`
	Total    int       `json:"total"`
	Writes   int       `json:"writes"`
	Faulted  int       `json:"faulted"`
	Requests []Row     `json:"requests"`
}

func (c *Counts) add(r *http.Request, status int, faulted bool, at time.Time) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	key := rowKey{r.Method, r.URL.Path, strings.Contains(r.URL.RawQuery, "dryRun=All")}
	row := c.rows[key]
	if row == nil {
		row = &Row{Method: key.method, Path: key.path, DryRun: key.dryRun, Write: isWrite(r), Statuses: map[string]int{}, First: at}
		if c.rows == nil {
			c.rows = map[rowKey]*Row{}
		}
		c.rows[key] = row
	}
	row.Count++
	row.Last = at
	row.Statuses[strconv.Itoa(status)]++
	if faulted {
		row.Faulted++
	}
}

// Reset forgets all counts.
func (c *Counts) Reset() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.rows, c.since = nil, time.Now()
}

// Report sums up since the last reset, rows sorted by path and method.
func (c *Counts) Report() Report {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	report := Report{Since: c.since, Requests: []Row{}}
	for _, row := range c.rows {
		report.Total += row.Count
		report.Faulted += row.Faulted
		if row.Write {
			report.Writes += row.Count - row.Faulted
		}
		shown := *row
		shown.Statuses = maps.Clone(row.Statuses)
		report.Requests = append(report.Requests, shown)
	}
	sort.Slice(report.Requests, func(i, j int) bool {
		a, b := report.Requests[i], report.Requests[j]
		return a.Path+a.Method < b.Path+b.Method
	})
	return report
}

// rewriteVersion makes the cluster claim another release, for tests of an API
// that is too old.
func (p *Proxy) rewriteVersion(response *http.Response) error {
	if p.Version == "" || response.Request.URL.Path != "/version" || response.StatusCode != http.StatusOK {
		return nil
	}
	defer response.Body.Close()
	var version map[string]any
	if err := json.NewDecoder(response.Body).Decode(&version); err != nil {
		return err
	}
	version["gitVersion"] = p.Version
	if parts := strings.Split(strings.TrimPrefix(p.Version, "v"), "."); len(parts) >= 2 {
		version["major"], version["minor"] = parts[0], parts[1]
	}
	body, err := json.Marshal(version)
	if err != nil {
		return err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	response.ContentLength = int64(len(body))
	response.Header.Set("Content-Length", strconv.Itoa(len(body)))
	return nil
}
