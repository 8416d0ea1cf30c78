package tokenexchange_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/shadowless/shadowless/internal/meshtest"
	"github.com/shadowless/shadowless/services/token-exchange/api"
)

// generous takes the limits away from tests that ask from one address.
const generous = "limits: {key: {requests: 1000000, per: 1s}, refused: {requests: 1000000, per: 1s}}\n"

// lookups is how often keys were looked for in the database.
func (w *world) lookups(t *testing.T) (n int64) {
	t.Helper()
	require.NoError(t, w.Database.Owner.QueryRow(context.Background(),
		"SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'api_keys'").Scan(&n))
	return n
}

// TestAbuse_H1 counts the database's own scans: malformed keys cost none.
func TestAbuse_H1_MalformedKeysCostNoQuery(t *testing.T) {
	t.Parallel()
	w := startWithPolicy(t, generous)
	good := w.Keys["orders"]
	w.send(w.As("orders"), credentials()).token(t)
	var before int64
	require.Eventually(t, func() bool { // the statistics come about a second late
		before = w.lookups(t)
		return before > 0
	}, meshtest.Within, meshtest.Every)
	for _, malformed := range []string{good[:len(good)-1] + "!", good + "x", "sl_test_x_y_z", strings.Repeat("x", 4000), "", "Bearer x"} {
		for range 20 {
			w.send(basic("orders", malformed), credentials()).refused(t, 401, "invalid_client")
		}
	}
	unknown, err := api.GenerateKey("test")
	require.NoError(t, err)
	const wellFormed = 7
	for range wellFormed {
		w.send(basic("orders", unknown.Reveal()), credentials()).refused(t, 401, "invalid_client")
	}
	require.Eventually(t, func() bool { return w.lookups(t) >= before+wellFormed }, meshtest.Within, meshtest.Every)
	// 120 malformed ones came before these; reports of other uses (the batch of
	// last uses) are far fewer.
	require.Less(t, w.lookups(t), before+60)
}

// TestAbuse_A19 sends what is too large.
func TestAbuse_A19(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.send(w.As("orders"), credentials("x", strings.Repeat("x", 200<<10))).refused(t, 413, "invalid_request")
	many := credentials()
	for i := range 10_000 {
		many.Set("p"+strconv.Itoa(i), "1")
	}
	w.send(w.As("orders"), many).refused(t, 400, "invalid_request")
	header := w.send(func(r *http.Request) {
		w.As("orders")(r)
		r.Header.Set("X-Large", strings.Repeat("x", 100<<10))
	}, credentials())
	require.Equal(t, http.StatusRequestHeaderFieldsTooLarge, header.status)
	long := w.auther(http.MethodPost, `{"apiKey":"`+strings.Repeat("x", 1<<20)+`"}`, nil)
	require.Equal(t, http.StatusBadRequest, long.status)
	audiences := credentials()
	for i := range 200 {
		audiences.Add("audience", "a"+strconv.Itoa(i))
	}
	w.send(w.As("orders"), audiences).refused(t, 400, "invalid_target")
	w.send(w.As("orders"), credentials()).token(t)
}

func dial(t *testing.T, address string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: 20 * time.Second}).DialContext(t.Context(), "tcp", address)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestAbuse_SlowClients are cut off, and nobody waits for them.
func TestAbuse_SlowClients(t *testing.T) {
	t.Parallel()
	w := start(t)
	address := w.Front.Load().Host
	slow := make([]net.Conn, 200)
	for i := range slow {
		slow[i] = dial(t, address)
		text := "POST /oauth/token HTTP/1.1\r\nHost: sts\r\n" // headers that never end
		if i%2 == 0 {
			text += "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\ngrant_type=" // a body that never ends
		}
		_, err := io.WriteString(slow[i], text)
		require.NoError(t, err)
	}
	began := time.Now()
	w.send(w.As("orders"), credentials()).token(t)
	require.Less(t, time.Since(began), 5*time.Second)
	for _, conn := range slow {
		require.NoError(t, conn.SetReadDeadline(began.Add(30*time.Second)))
		_, err := io.Copy(io.Discard, conn)
		require.NoError(t, err, "the server ends the connection")
	}
}

// TestAbuse_2000Connections ask at once, on connections that are all open.
func TestAbuse_2000Connections(t *testing.T) { //nolint:paralleltest // it measures memory
	const connections = 2000
	w := startWithPolicy(t, generous)
	address := w.Front.Load().Host
	open := make([]net.Conn, connections)
	for i := range open {
		open[i] = dial(t, address)
	}
	form := url.Values{"grant_type": {"client_credentials"}}.Encode()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.Front.Load().String()+"/oauth/token", nil)
	require.NoError(t, err)
	w.As("orders")(request)
	text := "POST /oauth/token HTTP/1.1\r\nHost: sts\r\nContent-Type: application/x-www-form-urlencoded\r\nAuthorization: " +
		request.Header.Get("Authorization") + "\r\nContent-Length: " + strconv.Itoa(len(form)) + "\r\n\r\n" + form
	before := memory()
	began := time.Now()
	var answered atomic.Int64
	var other sync.Map // what else was answered, or why nothing
	var all sync.WaitGroup
	for _, conn := range open {
		all.Go(func() {
			if conn.SetDeadline(began.Add(time.Minute)) != nil {
				return
			}
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				other.Store(err.Error(), true)
				return
			}
			text, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				answered.Add(1)
			} else {
				other.Store(string(text), true)
			}
		})
	}
	all.Wait()
	took := time.Since(began)
	other.Range(func(text, _ any) bool { t.Logf("another answer: %v", text); return true })
	t.Logf("%d answered with a token in %s, %d MiB more", answered.Load(), took, (int64(memory())-int64(before))>>20) //nolint:gosec // far below 2^63
	require.EqualValues(t, connections, answered.Load())
	require.Less(t, took, time.Minute)
	require.Less(t, memory(), before+256<<20)
	w.send(w.As("orders"), credentials()).token(t)
}

func memory() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse + m.StackInuse
}
