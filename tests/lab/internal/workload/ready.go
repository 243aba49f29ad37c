package workload

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// Check is a readiness probe against the real process.
type Check struct {
	// Port is the container port; Path empty means that accepting connections is enough.
	Port int
	Path string
	TLS  bool
}

var probe = &http.Client{
	Timeout: 3 * time.Second,
	Transport: &http.Transport{
		// Like a kubelet's: probes do not verify certificates.
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	},
}

func (c Check) passes(ctx context.Context, launch *Launch) bool {
	address := launch.Address(c.Port)
	if c.Path == "" {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			connection.Close()
		}
		return err == nil
	}
	scheme := "http"
	if c.TLS {
		scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+c.Path, nil)
	if err != nil {
		return false
	}
	response, err := probe.Do(request)
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode < http.StatusBadRequest
}
