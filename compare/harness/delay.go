package harness

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// delay stands between services and the identity provider's directory. It passes
// requests on at once, and each answer as much later as it is told: once for a
// request, however many pieces either comes in.
type delay struct {
	url      string
	listener net.Listener
	wait     atomic.Int64 // nanoseconds
	mu       sync.Mutex
	open     map[net.Conn]bool
}

// hanging is longer than anybody waits for an answer.
const hanging = time.Hour

func newDelay(target string) (*delay, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed by close
	if err != nil {
		return nil, err
	}
	d := &delay{url: "http://" + listener.Addr().String(), listener: listener, open: map[net.Conn]bool{}}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed
			}
			go d.serve(conn, target)
		}
	}()
	return d, nil
}

func (d *delay) set(wait time.Duration) { d.wait.Store(int64(wait)) }

func (d *delay) serve(from net.Conn, target string) {
	defer d.forget(from)
	to, err := net.Dial("tcp", target) //nolint:noctx // closed with from
	if err != nil {
		return
	}
	defer d.forget(to)
	d.keep(from, to)
	gone := make(chan struct{}) // the caller has had enough
	defer close(gone)
	var asked atomic.Bool // and not answered yet
	go func() {
		defer d.forget(from)
		_ = pass(from, to, func() bool { return !asked.Swap(false) || d.held(gone) })
	}()
	_ = pass(to, from, func() bool {
		asked.Store(true)
		return true
	})
}

// held waits as long as is said when it begins. It reports false where nobody
// waits for the answer any more.
func (d *delay) held(gone <-chan struct{}) bool {
	timer := time.NewTimer(time.Duration(d.wait.Load()))
	defer timer.Stop()
	select {
	case <-gone:
		return false
	case <-timer.C:
		return true
	}
}

// pass copies until either end is closed; before is called for each piece.
func pass(to io.Writer, from io.Reader, before func() bool) error {
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !before() {
				return net.ErrClosed
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

func (d *delay) keep(conns ...net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range conns {
		d.open[c] = true
	}
}

func (d *delay) forget(c net.Conn) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, c)
	_ = c.Close()
}

func (d *delay) close() {
	_ = d.listener.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.open {
		_ = c.Close()
	}
}
