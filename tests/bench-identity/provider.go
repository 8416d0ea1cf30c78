package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	schemaUser  = "urn:ietf:params:scim:schemas:core:2.0:User"
	schemaList  = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	schemaError = "urn:ietf:params:scim:api:messages:2.0:Error"

	maxPage = 500
)

// provider is an identity provider's SCIM service with a population that is
// made up as it is asked for: users 0 to n-1, but for the last of each gap.
type provider struct {
	url        string
	bearerFile string
	n          int
	calls      atomic.Int64
	server     *http.Server
	// others are users of the development IdP, who have signed up in this run too.
	others atomic.Pointer[[]string]
}

// gap: one in so many users is not there, and so is missing where a service
// holds data of them.
const gap = 50_000

// userID of the i-th user, 25 bytes.
func userID(i int) string { return fmt.Sprintf("usr_%021d", i) }

func there(i, n int) bool { return i >= 0 && i < n && i%gap != gap-1 }

// present counts the users among the first i.
func present(i int) int { return i - i/gap }

func newProvider(dir string, n int) (*provider, error) {
	p := &provider{n: n, bearerFile: filepath.Join(dir, "scim-bearer")}
	p.also(nil)
	if err := os.WriteFile(p.bearerFile, []byte("bench\n"), 0o600); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed with the server
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /scim/v2/ServiceProviderConfig", p.offers)
	mux.HandleFunc("GET /scim/v2/Users", p.list)
	mux.HandleFunc("GET /scim/v2/Users/{id}", p.get)
	p.url = "http://" + listener.Addr().String() + "/scim/v2"
	p.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		if err := p.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			progress("the user list ended: %v", err)
		}
	}()
	return p, nil
}

func (p *provider) also(ids []string) { p.others.Store(&ids) }

// listed counts the users who are there.
func (p *provider) listed() int { return present(p.n) + len(*p.others.Load()) }

func (p *provider) close() { _ = p.server.Close() }

func (p *provider) offers(w http.ResponseWriter, _ *http.Request) {
	p.calls.Add(1)
	answer(w, http.StatusOK, map[string]any{"pagination": map[string]any{"cursor": true, "index": true, "maxPageSize": maxPage}})
}

type wireUser struct {
	Schemas []string `json:"schemas"`
	ID      string   `json:"id"`
	Active  bool     `json:"active"`
}

func wire(id string) wireUser {
	return wireUser{Schemas: []string{schemaUser}, ID: id, Active: true}
}

func (p *provider) list(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	from, err := strconv.Atoi("0" + r.URL.Query().Get("cursor"))
	count, errCount := strconv.Atoi(r.URL.Query().Get("count"))
	if err != nil || errCount != nil {
		answer(w, http.StatusBadRequest, map[string]any{"schemas": []string{schemaError}, "status": "400"})
		return
	}
	page := make([]wireUser, 0, maxPage)
	if from == 0 {
		for _, id := range *p.others.Load() {
			page = append(page, wire(id))
		}
	}
	next := from
	for ; next < p.n && len(page) < min(count, maxPage); next++ {
		if there(next, p.n) {
			page = append(page, wire(userID(next)))
		}
	}
	body := map[string]any{"schemas": []string{schemaList}, "totalResults": p.listed(), "itemsPerPage": len(page), "Resources": page}
	if next < p.n {
		body["nextCursor"] = strconv.Itoa(next)
	}
	answer(w, http.StatusOK, body)
}

func (p *provider) get(w http.ResponseWriter, r *http.Request) {
	p.calls.Add(1)
	id := r.PathValue("id")
	i, ours := indexOf(id)
	if (!ours || !there(i, p.n)) && !slices.Contains(*p.others.Load(), id) {
		answer(w, http.StatusNotFound, map[string]any{"schemas": []string{schemaError}, "status": "404"})
		return
	}
	answer(w, http.StatusOK, wire(id))
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

// indexOf is the inverse of userID.
func indexOf(id string) (int, bool) {
	text, ours := strings.CutPrefix(id, "usr_")
	i, err := strconv.Atoi(text)
	return i, ours && err == nil
}
