package node

import (
	"fmt"
	"net"
	"strconv"
	"sync"
)

// Addresses gives every pod its own address in one 127.N.0.0/16, which any user
// may bind and dial. Labs that run side by side have different N.
type Addresses struct {
	block int
	lock  net.Listener
	mutex sync.Mutex
	next  int
}

// lockPort is bound on the last address of a block by the lab that uses it.
const lockPort = "64999"

// ClaimAddresses takes the first block that no other lab uses.
func ClaimAddresses() (*Addresses, error) {
	for block := 11; block < 250; block++ {
		lock, err := net.Listen("tcp", fmt.Sprintf("127.%d.255.254:%s", block, lockPort))
		if err == nil {
			return &Addresses{block: block, lock: lock}, nil
		}
	}
	return nil, fmt.Errorf("no free block of loopback addresses for pods")
}

// Release gives the block back.
func (a *Addresses) Release() { _ = a.lock.Close() }

// CIDR of the block.
func (a *Addresses) CIDR() string { return fmt.Sprintf("127.%d.0.0/16", a.block) }

// Contains tells whether ip is a pod's.
func (a *Addresses) Contains(ip net.IP) bool {
	v4 := ip.To4()
	return v4 != nil && v4[0] == 127 && int(v4[1]) == a.block
}

// Next returns an address that was not in use lately.
func (a *Addresses) Next() string {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	const last = 254 * 254
	host := a.next % last
	a.next++
	return "127." + strconv.Itoa(a.block) + "." + strconv.Itoa(host/254) + "." + strconv.Itoa(host%254+1)
}
