package deadletters

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/internal/streams"
)

const (
	// patience is how long Redrive waits for the relay to publish an event.
	patience = 10 * time.Second
	glance   = 50 * time.Millisecond
)

// Republish asks identity-relay to publish one of its events again. The relay
// must do it itself, because it must know every place of an event to be able to
// erase it.
type Republish func(ctx context.Context, eventID string) error

// Redrive puts the letter's message into its stream again, under its old ID, and
// takes the letter off the list. All consumers of the stream see the message;
// who has applied it knows it by inbox. What fails again becomes a new letter.
func Redrive(ctx context.Context, js jetstream.JetStream, number uint64, republish Republish) (Letter, error) {
	letter, err := Get(ctx, js, number)
	if err != nil {
		return Letter{}, err
	}
	message, err := letter.Message(ctx, js)
	if err != nil {
		return letter, err
	}
	if letter.Stream == streams.Identity {
		err = redriveEvent(ctx, js, message, republish)
	} else {
		err = redriveMessage(ctx, js, letter.Stream, message)
	}
	if err != nil {
		return letter, err
	}
	dead, err := js.Stream(ctx, streams.DeadLetters)
	if err != nil {
		return letter, fmt.Errorf("open the dead letters: %w", err)
	}
	if err := dead.DeleteMsg(ctx, number); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
		return letter, fmt.Errorf("take the letter off the list: %w", err)
	}
	return letter, nil
}

func redriveMessage(ctx context.Context, js jetstream.JetStream, stream string, m Message) error {
	ack, err := js.PublishMsg(ctx, m.outgoing(), jetstream.WithExpectStream(stream))
	if err != nil {
		return fmt.Errorf("publish the message again: %w", err)
	}
	if ack.Duplicate {
		return ErrTooEarly
	}
	return nil
}

func redriveEvent(ctx context.Context, js jetstream.JetStream, m Message, republish Republish) error {
	stream, err := js.Stream(ctx, streams.Identity)
	if err != nil {
		return fmt.Errorf("open stream %s: %w", streams.Identity, err)
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", streams.Identity, err)
	}
	if time.Since(m.At) < info.Config.Duplicates {
		return ErrTooEarly
	}
	if err := republish(ctx, m.ID); err != nil {
		return fmt.Errorf("have the event published again: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for next := info.State.LastSeq + 1; ; {
		raw, err := stream.GetMsg(ctx, next, jetstream.WithGetMsgSubject(m.Subject))
		switch {
		case err == nil && raw.Header.Get(jetstream.MsgIDHeader) == m.ID:
			return nil
		case err == nil:
			next = raw.Sequence + 1
			continue
		case ctx.Err() == nil && !errors.Is(err, jetstream.ErrMsgNotFound):
			return fmt.Errorf("look for the event: %w", err)
		}
		timer := time.NewTimer(glance)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ErrTooEarly
		case <-timer.C:
		}
	}
}
