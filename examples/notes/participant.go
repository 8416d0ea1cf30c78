package main

import (
	_ "embed"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/shadowless/shadowless/pkg/identity/participant"
)

//go:embed manifest.yaml
var dispositions []byte

// answerErasures makes the service a participant.
func answerErasures(pool *pgxpool.Pool, js jetstream.JetStream, keyFile string) (*participant.Participant, error) {
	manifest, err := participant.ParseManifest(dispositions)
	if err != nil {
		return nil, err
	}
	return participant.New(participant.Config{
		Name: "notes", Manifest: manifest, Pool: pool, JetStream: js, TombstoneKeyFile: keyFile,
	})
}
