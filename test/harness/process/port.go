package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePort returns a loopback port that nobody listens on. It is below the range
// that the kernel takes the ports of outgoing connections from (32768 up), so
// that none of those takes it while its server is down.
func FreePort() (int, error) {
	for range 100 {
		port := 15000 + rand.IntN(17000)
		listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return port, listener.Close()
		}
	}
	return 0, errors.New("find a free port: a hundred between 15000 and 32000 are taken")
}
