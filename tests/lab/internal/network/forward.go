package network

import (
	"context"
	"io"
	"log"
	"net"
)

// Forward serves an address of the cluster network on a port of 127.0.0.1, for
// programs whose client knows of no HTTP proxy. Each connection finds its pod
// anew, so pods may come and go.
func (p *Proxy) Forward(namespace, address string) (string, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	key := namespace + "/" + address
	if listener := p.forwards[key]; listener != nil {
		return listener.Addr().String(), nil
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	p.forwards[key] = listener
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			go p.carry(client, namespace, address)
		}
	}()
	return listener.Addr().String(), nil
}

func (p *Proxy) carry(client net.Conn, namespace, address string) {
	defer client.Close()
	ctx := context.WithValue(context.Background(), namespaceKey{}, namespace)
	upstream, err := p.Dial(ctx, address)
	if err != nil {
		log.Printf("forward to %s of namespace %s: %v", address, namespace, err)
		return
	}
	defer upstream.Close()
	go func() {
		_, _ = io.Copy(upstream, client)
		closeWrite(upstream)
	}()
	_, _ = io.Copy(client, upstream)
}
