package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"

	"github.com/shadowless/shadowless/services/token-exchange/api"
)

type clientsApplyCommand struct {
	operatorFlags
	File   string `short:"f" required:"" type:"existingfile" help:"Clients as in TOKEN_EXCHANGE_CLIENTS_FILE; key_files are imported."`
	DryRun bool   `help:"Show what would change, and change nothing."`
}

// Run makes the clients what the file says. Again it changes nothing; clients
// that the file does not name stay as they are.
func (c *clientsApplyCommand) Run(ctx context.Context) error {
	file, err := api.LoadClientsFile(c.File)
	if err != nil {
		return err
	}
	a, err := admin(ctx, &c.operatorFlags)
	if err != nil {
		return err
	}
	return applyClients(ctx, a, file, c.DryRun, os.Stdout)
}

func applyClients(ctx context.Context, a *api.Admin, file api.ClientsFile, dryRun bool, out io.Writer) error {
	registered, err := a.Clients(ctx)
	if err != nil {
		return err
	}
	byID := map[string]api.Client{}
	for _, client := range registered {
		byID[client.ID] = client
	}
	changes := 0
	for _, declared := range file.Clients {
		old, known := byID[declared.ID]
		lines, err := diffClient(old.ClientSpec, declared.ClientSpec, known)
		if err != nil {
			return err
		}
		changes += len(lines)
		for _, line := range lines {
			fmt.Fprintln(out, line)
		}
		if len(lines) > 0 && !dryRun {
			if _, err := a.DeclareClient(ctx, declared.ClientSpec); err != nil {
				return fmt.Errorf("client %s: %w", declared.ID, err)
			}
		}
		n, err := applyKeys(ctx, a, declared, known, dryRun, out)
		if err != nil {
			return err
		}
		changes += n
	}
	if changes == 0 {
		fmt.Fprintln(out, "Nothing changes.")
	}
	return nil
}

func applyKeys(ctx context.Context, a *api.Admin, declared api.DeclaredClient, known, dryRun bool, out io.Writer) (changes int, err error) {
	if len(declared.KeyFiles) == 0 {
		return 0, nil
	}
	have := map[string]bool{}
	if known {
		keys, err := a.Keys(ctx, declared.ID)
		if err != nil {
			return 0, fmt.Errorf("client %s: %w", declared.ID, err)
		}
		for _, k := range keys {
			have[k.ID] = true
		}
	}
	for _, path := range declared.KeyFiles {
		key, err := api.ReadKeyFile(path)
		if err != nil {
			return 0, fmt.Errorf("client %s: %w", declared.ID, err)
		}
		if have[key.ID()] {
			continue
		}
		changes++
		fmt.Fprintf(out, "+ %s: key %s\n", declared.ID, key.ID())
		if dryRun {
			continue
		}
		if _, err := a.ImportKey(ctx, declared.ID, key); err != nil {
			return 0, fmt.Errorf("client %s: import %s: %w", declared.ID, path, err)
		}
	}
	return changes, nil
}

// diffClient is a line for each member that differs.
func diffClient(old, declared api.ClientSpec, known bool) ([]string, error) {
	if !known {
		return []string{"+ " + declared.ID}, nil
	}
	before, errBefore := members(old)
	after, errAfter := members(declared)
	if err := errors.Join(errBefore, errAfter); err != nil {
		return nil, err
	}
	var lines []string
	names := maps.Clone(before)
	maps.Copy(names, after)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		from, to := before[name], after[name]
		switch {
		case from == to:
		case from == "":
			lines = append(lines, fmt.Sprintf("~ %s: %s: + %s", declared.ID, name, to))
		case to == "":
			lines = append(lines, fmt.Sprintf("~ %s: %s: - %s", declared.ID, name, from))
		default:
			lines = append(lines, fmt.Sprintf("~ %s: %s: %s -> %s", declared.ID, name, from, to))
		}
	}
	return lines, nil
}

// members are a registration's, each as canonical JSON; what is empty is left out.
func members(spec api.ClientSpec) (map[string]string, error) {
	raw, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encode a registration: %w", err)
	}
	var all map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		return nil, fmt.Errorf("encode a registration: %w", err)
	}
	out := map[string]string{}
	for name, value := range all {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode a registration: %w", err)
		}
		out[name] = string(text)
	}
	return out, nil
}
