// Command lab-redis is the Redis of the lab: an in-memory server in pure Go that speaks as much of
// the protocol as Argo CD uses.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// step is how often keys that have expired are dropped: the server has no clock of its own.
const step = 250 * time.Millisecond

func main() {
	log.SetFlags(log.LstdFlags | log.LUTC)
	addr := flag.String("addr", "127.0.0.1:6379", "address and port to serve on; port 0 picks a free one")
	password := flag.String("requirepass", "", "password clients must give; without it $REDIS_PASSWORD")
	addrFile := flag.String("addr-file", "", "write the address served on to this file once it answers")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "lab-redis: unexpected argument %q\n", flag.Arg(0))
		os.Exit(2)
	}
	if *password == "" {
		*password = os.Getenv("REDIS_PASSWORD")
	}
	if err := run(*addr, *password, *addrFile); err != nil {
		log.Fatal("lab-redis: ", err)
	}
}

func run(addr, password, addrFile string) error {
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return err
	}
	if password == "" {
		return errors.New("no password: give --requirepass or set REDIS_PASSWORD")
	}
	server := miniredis.NewMiniRedis()
	server.RequireAuth(password)
	if err := server.StartAddr(addr); err != nil {
		return err
	}
	defer server.Close()
	if addrFile != "" {
		if err := os.WriteFile(addrFile, []byte(server.Addr()+"\n"), 0o600); err != nil {
			return err
		}
	}
	log.Print("serving on ", server.Addr())

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	tick := time.NewTicker(step)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-stop:
			return nil
		case now := <-tick.C:
			server.FastForward(now.Sub(last))
			last = now
		}
	}
}
