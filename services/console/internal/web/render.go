package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/telemetry"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed assets/*
var assetFiles embed.FS

// asset is a file under a name with its hash, which may be cached for ever.
type asset struct {
	content []byte
	kind    string
}

var assets, assetNames = loadAssets()

var kinds = map[string]string{".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}

func loadAssets() (byName map[string]asset, names map[string]string) {
	byName, names = map[string]asset{}, map[string]string{}
	entries, err := fs.ReadDir(assetFiles, "assets")
	if err != nil {
		panic(err) // embedded
	}
	for _, e := range entries {
		content, err := assetFiles.ReadFile("assets/" + e.Name())
		if err != nil {
			panic(err) // embedded
		}
		sum := sha256.Sum256(content)
		ext := path.Ext(e.Name())
		hashed := strings.TrimSuffix(e.Name(), ext) + "." + hex.EncodeToString(sum[:6]) + ext
		byName[hashed], names[e.Name()] = asset{content, kinds[ext]}, hashed
	}
	return byName, names
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[r.PathValue("name")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(a.content))
}

var templates = parseTemplates()

func parseTemplates() map[string]*template.Template {
	templates := map[string]*template.Template{}
	for _, name := range []string{"welcome", "home", "signup", "error"} {
		templates[name] = template.Must(template.New("").Funcs(functions).ParseFS(templateFiles,
			"templates/layout.html", "templates/places.html", "templates/"+name+".html"))
	}
	return templates
}

// layout is what every page has.
type layout struct {
	Title    string
	SignedIn bool
	SignUp   bool
	Notice   *Notice
}

// render writes a page whole or not at all. Nobody keeps it.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var page bytes.Buffer
	if err := templates[name].ExecuteTemplate(&page, "layout", data); err != nil {
		telemetry.Annotate(r.Context(), slog.String("cause", fmt.Sprintf("render %s: %v", name, err)))
		http.Error(w, "Something went wrong on our side.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // the browser may be gone
}

// link is where an error page leads besides the start.
type link struct{ Href, Label string }

type errorPage struct {
	layout
	Sentence string
	Retry    *link
}

func (p *Pages) fail(w http.ResponseWriter, r *http.Request, status int, title, sentence string, retry *link, cause error) {
	if cause != nil {
		telemetry.Annotate(r.Context(), slog.String("cause", cause.Error()))
	}
	p.render(w, r, status, "error", errorPage{
		layout: layout{Title: title, SignUp: p.SignUp.URL != ""}, Sentence: sentence, Retry: retry,
	})
}

// errCrossOrigin answers JSON routes; browsers send those only from our origin.
var errCrossOrigin = problem.New(http.StatusForbidden, "cross-origin", "Another site made the browser send this, so nothing was done.")

func (p *Pages) crossOrigin(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1/") {
		problem.Write(w, r, errCrossOrigin)
		return
	}
	p.fail(w, r, http.StatusForbidden, "That was not sent from here", "Another site made your browser send this form, so nothing was done.", nil, nil)
}

func (p *Pages) unavailable(w http.ResponseWriter, r *http.Request, cause error) {
	telemetry.Annotate(r.Context(), slog.String("cause", cause.Error()))
	w.Header().Set("Retry-After", "5")
	p.render(w, r, http.StatusServiceUnavailable, "error", errorPage{
		layout:   layout{Title: "Not available right now", SignedIn: true},
		Sentence: "Something that this page needs does not answer. You are still signed in; try again in a moment.",
		Retry:    &link{"/", "Try again"},
	})
}
