// Package signin renders the pages on which people sign in. They work without
// JavaScript.
package signin

import (
	"bytes"
	"embed"
	"html/template"
	"net/http"
)

//go:embed *.html
var files embed.FS

var pages = template.Must(template.ParseFS(files, "*.html"))

// Page is the sign-in form. Without ReturnTo only the message is shown.
type Page struct {
	Message  string
	ReturnTo string
	Email    string
}

// Upstream is the fake provider's form.
type Upstream struct {
	ClientID, RedirectURI, State, Challenge string
}

// Write renders the sign-in page.
func Write(w http.ResponseWriter, status int, page Page) { write(w, status, "sign_in.html", page) }

// WriteUpstream renders the fake provider's page.
func WriteUpstream(w http.ResponseWriter, page Upstream) {
	write(w, http.StatusOK, "upstream.html", page)
}

// WriteNotFound renders the page of an unknown address.
func WriteNotFound(w http.ResponseWriter) { write(w, http.StatusNotFound, "not_found.html", nil) }

func write(w http.ResponseWriter, status int, name string, data any) {
	var body bytes.Buffer
	if err := pages.ExecuteTemplate(&body, name, data); err != nil {
		http.Error(w, "The page cannot be shown.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "private, no-cache, no-store, max-age=0, must-revalidate")
	// No form-action: browsers apply it to the redirect that leads back to the
	// application, too.
	header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'")
	// Not no-referrer: with it a browser posts the form with "Origin: null".
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes())
}
