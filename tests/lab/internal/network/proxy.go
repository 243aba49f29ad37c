package network

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"
)

// Proxy is an HTTP proxy into the cluster network: CONNECT for tunnels, and plain
// requests with an absolute URL. The API server uses it by its egress selector,
// the real processes by http_proxy.
type Proxy struct {
	resolver *Resolver
	servers  []*http.Server
	forward  *httputil.ReverseProxy

	mutex    sync.Mutex
	forwards map[string]net.Listener
}

// NewProxy makes a proxy that listens nowhere yet.
func NewProxy(resolver *Resolver) *Proxy {
	proxy := &Proxy{resolver: resolver, forwards: map[string]net.Listener{}}
	proxy.forward = &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.Out.Host = r.In.Host },
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
		Transport: &http.Transport{
			Proxy: nil,
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return proxy.Dial(ctx, address)
			},
			// An idle connection may belong to a process that has stopped since.
			DisableKeepAlives: true,
		},
	}
	return proxy
}

// ListenUnix serves on a unix socket, as the API server's egress selector wants it.
func (p *Proxy) ListenUnix(path string) error {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	p.serve(listener)
	return nil
}

// Listen serves on a free loopback port and returns the proxy's URL.
func (p *Proxy) Listen() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.serve(listener)
	return "http://" + listener.Addr().String(), nil
}

func (p *Proxy) serve(listener net.Listener) {
	server := &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0)}
	p.servers = append(p.servers, server)
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			log.Printf("cluster proxy: %v", err)
		}
	}()
}

// Close stops listening.
func (p *Proxy) Close() {
	for _, server := range p.servers {
		_ = server.Close()
	}
	p.mutex.Lock()
	defer p.mutex.Unlock()
	for _, listener := range p.forwards {
		_ = listener.Close()
	}
}

// Dial connects to a cluster address.
func (p *Proxy) Dial(ctx context.Context, address string) (net.Conn, error) {
	local, err := p.resolver.Resolve(address, namespaceIn(ctx))
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: 5 * time.Second}
	return dialer.DialContext(ctx, "tcp", local)
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r = r.WithContext(withNamespace(r.Context(), r.Header.Get("Proxy-Authorization")))
	switch {
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	case r.URL.IsAbs():
		p.forward.ServeHTTP(w, r)
	default:
		http.Error(w, "this is a proxy", http.StatusBadRequest)
	}
}

func (p *Proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	upstream, err := p.Dial(r.Context(), r.Host)
	if err != nil {
		http.Error(w, "connection refused: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		upstream.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		// The client may have sent its first bytes together with the CONNECT.
		_, _ = io.Copy(upstream, buffered)
		closeWrite(upstream)
	}()
	_, _ = io.Copy(client, upstream)
	client.Close()
	upstream.Close()
}

type namespaceKey struct{}

// withNamespace remembers in whose namespace short names are to be looked up: the
// processes name it as the user of their proxy URL.
func withNamespace(ctx context.Context, authorization string) context.Context {
	request := http.Request{Header: http.Header{"Authorization": {authorization}}}
	namespace, _, _ := request.BasicAuth()
	return context.WithValue(ctx, namespaceKey{}, namespace)
}

func namespaceIn(ctx context.Context) string {
	namespace, _ := ctx.Value(namespaceKey{}).(string)
	return namespace
}

func closeWrite(connection net.Conn) {
	if half, ok := connection.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
}
