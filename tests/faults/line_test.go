package faults_test

import (
	"bytes"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// line carries one service's connection to NATS and can be cut, or made deaf in
// one direction at an exact moment: when it sees given bytes go by.
type line struct {
	listener net.Listener
	target   string
	group    sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	cut   bool
	watch *watch
}

// direction of bytes.
type direction int

const (
	toNATS direction = iota
	fromNATS
)

// watch drops everything that goes in one direction from the moment on at which
// text is seen, in either.
type watch struct {
	see  direction
	text []byte
	drop direction
	seen chan struct{} // closed then
}

func newLine(t *testing.T, s *system) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l := &line{listener: listener, target: s.stack.Running.Ports.Address("nats"), conns: map[net.Conn]bool{}}
	l.group.Go(l.serve)
	t.Cleanup(func() {
		_ = listener.Close()
		l.set(true)
		l.group.Wait()
	})
	return l
}

func (l *line) url() string { return "NATS_URL=nats://" + l.listener.Addr().String() }

// set cuts the line, or heals it.
func (l *line) set(cut bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = cut
	if cut {
		for c := range l.conns {
			_ = c.Close()
		}
	}
}

// when arms the line; the channel is closed at the moment.
func (l *line) when(see direction, text string, drop direction) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch = &watch{see: see, text: []byte(text), drop: drop, seen: make(chan struct{})}
	return l.watch.seen
}

func (l *line) serve() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		if !l.adopt(client) {
			continue
		}
		server, err := net.Dial("tcp", l.target)
		if err != nil || !l.adopt(server) {
			_ = client.Close()
			continue
		}
		l.group.Go(func() { l.pump(server, client, toNATS) })
		l.group.Go(func() { l.pump(client, server, fromNATS) })
	}
}

func (l *line) adopt(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = c.Close()
		return false
	}
	l.conns[c] = true
	return true
}

func (l *line) pump(to, from net.Conn, d direction) {
	defer func() {
		_, _ = to.Close(), from.Close()
		l.mu.Lock()
		delete(l.conns, to)
		delete(l.conns, from)
		l.mu.Unlock()
	}()
	buffer := make([]byte, 64<<10)
	var tail []byte // the text may be split over two reads
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		tail = append(tail, buffer[:n]...)
		if l.dropped(d, tail) {
			continue
		}
		if len(tail) > 256 {
			tail = append([]byte(nil), tail[len(tail)-256:]...)
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// dropped looks at what goes by before it goes on.
func (l *line) dropped(d direction, passing []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.watch
	if w == nil {
		return false
	}
	select {
	case <-w.seen:
	default:
		if d != w.see || !bytes.Contains(passing, w.text) {
			return false
		}
		close(w.seen)
	}
	return d == w.drop
}
