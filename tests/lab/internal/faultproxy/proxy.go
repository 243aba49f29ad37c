// Package faultproxy stands between a client and the API server: it passes
// everything through (watches and upgrades too), counts requests, and fails those
// that a test has chosen.
package faultproxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"platctl.dev/lab/internal/pki"
)

// Proxy serves the API server's address with faults.
type Proxy struct {
	Faults Faults
	Counts Counts
	// Version, if set, replaces gitVersion in the answer to /version.
	Version string

	server  *http.Server
	backend *httputil.ReverseProxy
}

// Serve listens with the given certificate and forwards to target.
func Serve(listener net.Listener, pair pki.Pair, target string, ca []byte) (*Proxy, error) {
	certificate, err := pair.TLS()
	if err != nil {
		return nil, err
	}
	upstream, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	proxy := &Proxy{}
	proxy.backend = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		// HTTP/1.1 on both sides: upgrades need it, and so does cutting a connection.
		Transport: &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots},
			TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{},
			MaxIdleConnsPerHost: 100,
			DisableCompression:  true,
		},
		ModifyResponse: proxy.rewriteVersion,
	}
	proxy.server = &http.Server{
		Handler:      proxy,
		ErrorLog:     log.New(io.Discard, "", 0),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		TLSConfig:    &tls.Config{Certificates: []tls.Certificate{certificate}},
	}
	go func() {
		if err := proxy.server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("fault proxy: %v", err)
		}
	}()
	return proxy, nil
}

// Close cuts all connections.
func (p *Proxy) Close() { _ = p.server.Close() }

// ServeHTTP fails or forwards one request and counts it.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	fault := p.Faults.take(r)
	recorder := &statusRecorder{ResponseWriter: w, status: http.StatusOK}
	started := time.Now()
	aborted := false
	switch {
	case fault == nil:
		aborted = p.forward(recorder, r)
	case fault.Kind == "reset":
		recorder.status = 0
		reset(w)
	case fault.Kind == "hang":
		recorder.status = 0
		fault.hang(r.Context())
		reset(w)
	default:
		fault.answer(recorder)
	}
	p.Counts.add(r, recorder.status, fault != nil, started)
	if aborted {
		// The client must not take a half-sent answer for a whole one.
		panic(http.ErrAbortHandler)
	}
}

// forward tells whether the answer broke off: the reverse proxy then panics with
// ErrAbortHandler, which is how net/http wants that ended. It must still be counted.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		problem := recover()
		aborted = problem == http.ErrAbortHandler
		if problem != nil && !aborted {
			panic(problem)
		}
	}()
	p.backend.ServeHTTP(w, r)
	return false
}

// reset ends the connection with a TCP reset, as a crashed server would.
func reset(w http.ResponseWriter) {
	connection, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	if secure, ok := connection.(*tls.Conn); ok {
		if plain, ok := secure.NetConn().(*net.TCPConn); ok {
			_ = plain.SetLinger(0)
			_ = plain.Close()
		}
	}
	_ = connection.Close()
}

type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (s *statusRecorder) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach Hijack and Flush.
func (s *statusRecorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

func isWrite(r *http.Request) bool {
	if strings.Contains(r.URL.RawQuery, "dryRun=All") || isQuestion(r.URL.Path) {
		return false
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodOptions
}

// isQuestion recognises the POSTs that ask and store nothing.
func isQuestion(path string) bool {
	for _, suffix := range []string{"accessreviews", "rulesreviews", "tokenreviews", "subjectreviews", "/portforward", "/exec"} {
		if strings.HasSuffix(path, suffix) {
			return true
		}
	}
	return false
}
