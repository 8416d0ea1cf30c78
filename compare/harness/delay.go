package harness

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// delay stands between services and the identity provider's directory. It passes
// bytes on, each chunk of a request as much later as it is told.
type delay struct {
	url      string
	listener net.Listener
	wait     atomic.Int64 // nanoseconds
	mu       sync.Mutex
	open     map[net.Conn]bool
}

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
	go func() {
		_, _ = io.Copy(from, to) // ends with either
		d.forget(from)
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if wait := time.Duration(d.wait.Load()); wait > 0 && n > 0 {
			time.Sleep(wait)
		}
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
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
