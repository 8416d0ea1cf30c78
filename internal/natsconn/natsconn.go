// Package natsconn connects a service to NATS and keeps it connected: a server
// that is down at start or goes away later is retried for ever.
package natsconn

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/streams"
)

// Config of one connection.
type Config struct {
	URL          string
	NKeySeedFile string // empty: no credentials
	CAFile       string // empty: the system's roots
	Name         string // the service's name, also its NATS user's
	Logger       *slog.Logger
}

const (
	reconnectWait   = 250 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
	pingInterval    = 2 * time.Second // two missed pings end a dead connection
	apiTimeout      = 5 * time.Second
)

// Connect returns at once; the connection may come up later. Denied subjects
// and slow consumers are logged: without a handler they look like time-outs.
func Connect(cfg Config) (*nats.Conn, jetstream.JetStream, error) {
	options := []nats.Option{
		nats.Name(cfg.Name),
		nats.CustomInboxPrefix(streams.InboxPrefix(cfg.Name)),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(reconnectWait),
		nats.ReconnectJitter(reconnectJitter, reconnectJitter),
		nats.PingInterval(pingInterval),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			cfg.Logger.Error("nats", "error", err, "subscribed", sub != nil)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				cfg.Logger.Warn("nats disconnected", "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { cfg.Logger.Info("nats connected") }),
	}
	if cfg.NKeySeedFile != "" {
		key, err := nats.NkeyOptionFromSeed(cfg.NKeySeedFile)
		if err != nil {
			return nil, nil, fmt.Errorf("read the NKey seed: %w", err)
		}
		options = append(options, key)
	}
	if cfg.CAFile != "" {
		options = append(options, nats.RootCAs(cfg.CAFile))
	}
	conn, err := nats.Connect(cfg.URL, options...)
	if err != nil {
		return nil, nil, fmt.Errorf("connect to NATS: %w", err)
	}
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(apiTimeout))
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("open JetStream: %w", err)
	}
	return conn, js, nil
}
