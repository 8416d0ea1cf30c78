package mailbox

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// wrongLastMsgID is the server's code for a failed Nats-Expected-Last-Msg-Id.
const wrongLastMsgID jetstream.ErrorCode = 10070

var (
	errOutOfOrder   = errors.New("a message before it is not stored yet")
	errNotConnected = errors.New("not connected to NATS")
)

// sender publishes batches. It has a JetStream context of its own, because the
// timeout of asynchronous publishes is a property of the context.
type sender struct {
	js jetstream.JetStream
}

type sent struct {
	Published
	rowID int64
}

func newSender(js jetstream.JetStream, ackTimeout time.Duration) (*sender, error) {
	options := js.Options()
	timeout := jetstream.WithPublishAsyncTimeout(ackTimeout)
	var own jetstream.JetStream
	var err error
	switch {
	case options.Domain != "":
		own, err = jetstream.NewWithDomain(js.Conn(), options.Domain, timeout)
	case options.APIPrefix != "" && options.APIPrefix != jetstream.DefaultAPIPrefix:
		own, err = jetstream.NewWithAPIPrefix(js.Conn(), strings.TrimSuffix(options.APIPrefix, "."), timeout)
	default:
		own, err = jetstream.New(js.Conn(), timeout)
	}
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	return &sender{js: own}, nil
}

func (s *sender) close() { s.js.CleanupPublisher() }

// send publishes rows without waiting in between and returns those that are
// stored, with the first failure.
//
// Each message names the one before it as the stream's expected last message,
// so when one is lost on the way (a connection that dies and comes back within
// a batch) the server refuses those after it, and the next round sends them in
// order. The first message of a batch expects nothing, so every round makes
// progress even in a stream that others publish to as well. Chains are kept per
// first subject token, which is how streams are cut.
func (s *sender) send(ctx context.Context, rows []outboxRow) ([]sent, error) {
	// While disconnected the client would buffer, and flush duplicates later.
	if !s.js.Conn().IsConnected() {
		return nil, errNotConnected
	}
	var failure error
	futures := make([]jetstream.PubAckFuture, 0, len(rows))
	last := map[string]string{}
	for _, row := range rows {
		msg := &nats.Msg{Subject: row.Subject, Data: row.Payload, Header: nats.Header{}}
		for name, value := range row.Header {
			msg.Header.Set(name, value)
		}
		options := []jetstream.PublishOpt{
			jetstream.WithMsgID(row.MessageID),
			jetstream.WithRetryAttempts(0), // a retry behind our back would overtake
		}
		chain, _, _ := strings.Cut(row.Subject, ".")
		if previous, ok := last[chain]; ok {
			options = append(options, jetstream.WithExpectLastMsgID(previous))
		}
		future, err := s.js.PublishMsgAsync(msg, options...)
		if err != nil {
			failure = fmt.Errorf("publish: %w", err)
			break
		}
		last[chain] = row.MessageID
		futures = append(futures, future)
	}
	var stored []sent
	for i, future := range futures {
		select {
		case ack := <-future.Ok():
			stored = append(stored, sent{
				rowID:     rows[i].ID,
				Published: Published{MessageID: rows[i].MessageID, Stream: ack.Stream, Sequence: ack.Sequence},
			})
		case err := <-future.Err():
			failure = worse(failure, publishError(err))
		case <-ctx.Done():
			return stored, worse(failure, ctx.Err())
		}
	}
	return stored, failure
}

func publishError(err error) error {
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == wrongLastMsgID {
		return errOutOfOrder
	}
	return fmt.Errorf("publish: %w", err)
}

// worse keeps the first failure that is not merely the consequence of another.
func worse(a, b error) error {
	if a == nil || errors.Is(a, errOutOfOrder) {
		return b
	}
	return a
}
