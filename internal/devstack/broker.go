package devstack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/shadowless/shadowless/internal/natsconn"
	"github.com/shadowless/shadowless/internal/streams"
)

const brokerTimeout = 10 * time.Second

// startBroker runs NATS with JetStream on disk inside this process.
func startBroker(state *State, port int, log *slog.Logger) (*server.Server, error) {
	options, err := brokerOptions(state, port)
	if err != nil {
		return nil, err
	}
	srv, err := server.NewServer(options)
	if err != nil {
		return nil, fmt.Errorf("make the NATS server: %w", err)
	}
	srv.SetLoggerV2(brokerLog{log}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(brokerTimeout) {
		srv.Shutdown()
		return nil, errors.New("the NATS server did not come up")
	}
	return srv, nil
}

// BrokerOptions are those of the system's NATS server, for whoever runs it as a
// process of its own (Config.Without).
func BrokerOptions(stateDir string, port int) (*server.Options, error) {
	return brokerOptions(&State{dir: stateDir}, port)
}

// brokerOptions have one NKey user per service with the permissions that a
// cluster gives it.
func brokerOptions(state *State, port int) (*server.Options, error) {
	users := make([]*server.NkeyUser, 0, len(streams.Users))
	for _, name := range streams.Users {
		_, seed, err := state.Secret(name+".nkey", newNKey)
		if err != nil {
			return nil, err
		}
		pair, err := nkeys.FromSeed([]byte(seed))
		if err != nil {
			return nil, fmt.Errorf("read the NKey of %s: %w", name, err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("public key of %s: %w", name, err)
		}
		may := streams.PermissionsOf(name)
		users = append(users, &server.NkeyUser{Nkey: public, Permissions: &server.Permissions{
			Publish:   &server.SubjectPermission{Allow: may.Publish},
			Subscribe: &server.SubjectPermission{Allow: may.Subscribe},
		}})
	}
	store, err := state.Folder("nats")
	if err != nil {
		return nil, err
	}
	return &server.Options{
		ServerName: "shadowless", Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: store,
		Nkeys: users, NoSigs: true,
	}, nil
}

func newNKey() (string, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return "", err
	}
	seed, err := pair.Seed()
	return string(seed), err
}

// declareStreams is `shadowless streams apply` against this machine.
func declareStreams(ctx context.Context, state *State, ports Ports, log *slog.Logger) error {
	conn, js, err := natsconn.Connect(natsconn.Config{
		URL: "nats://" + ports.Address(NATS), NKeySeedFile: state.Path("secrets", streams.Operator+".nkey"),
		Name: streams.Operator, Logger: log,
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, brokerTimeout)
	defer cancel()
	return streams.Apply(ctx, js, 1)
}

// brokerLog hands the server's lines to slog.
type brokerLog struct{ log *slog.Logger }

func (l brokerLog) Noticef(format string, v ...any) { l.log.Info(fmt.Sprintf(format, v...)) }
func (l brokerLog) Warnf(format string, v ...any)   { l.log.Warn(fmt.Sprintf(format, v...)) }
func (l brokerLog) Fatalf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l brokerLog) Errorf(format string, v ...any)  { l.log.Error(fmt.Sprintf(format, v...)) }
func (l brokerLog) Debugf(string, ...any)           {}
func (l brokerLog) Tracef(string, ...any)           {}
