package httpserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/shadowless/shadowless/internal/problem"
	"github.com/shadowless/shadowless/internal/telemetry"
)

// RequestIDHeader is answered on every request; one that the caller sent is
// kept when it is a UUID, so that it cannot carry anything else into the log.
const RequestIDHeader = "X-Request-Id"

// record writes one line per request. It logs the route, not the path: paths
// hold IDs of users and their things.
func record(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		id, err := uuid.Parse(r.Header.Get(RequestIDHeader))
		if err != nil {
			id = uuid.New()
		}
		w.Header().Set(RequestIDHeader, id.String())
		ctx, line := telemetry.NewRequest(r.Context())
		outer := r
		r = r.WithContext(ctx)
		answer := &answer{ResponseWriter: w}
		next.ServeHTTP(answer, r)
		// net/http's mux writes the matched pattern into this very request; the
		// span is named after the outer one.
		outer.Pattern = r.Pattern
		route := r.Pattern
		if route == "" {
			route = "none"
		}
		trace.SpanFromContext(ctx).SetAttributes(attribute.String("http.route", route), attribute.String("url.path", pathOf(route)))
		level := slog.LevelInfo
		if answer.code() >= http.StatusInternalServerError {
			level = slog.LevelError
		}
		attrs := append([]slog.Attr{
			slog.String("method", r.Method), slog.String("route", route), slog.Int("status", answer.code()),
			slog.Int64("bytes", answer.bytes), slog.Duration("duration", time.Since(start)), slog.String("request_id", id.String()),
		}, line.Attrs()...)
		log.LogAttrs(ctx, level, "request", attrs...)
	})
}

// spanName is the method alone until the mux has found the route.
func spanName(_ string, r *http.Request) string {
	if r.Pattern == "" {
		return r.Method
	}
	return r.Method + " " + pathOf(r.Pattern)
}

// pathOf is the path of a route's pattern. It takes the real path's place in
// the span, for the same reason as in the log.
func pathOf(route string) string {
	if _, path, ok := strings.Cut(route, " "); ok {
		return path
	}
	return route
}

// recovered turns a panic into a 500 and keeps the process.
func recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			value := recover()
			if value == nil {
				return
			}
			if err, ok := value.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(value)
			}
			telemetry.Annotate(r.Context(), slog.String("stack", string(debug.Stack())))
			problem.Write(w, r, fmt.Errorf("panic: %v", value))
		}()
		next.ServeHTTP(w, r)
	})
}

func limited(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, MaxBodySize)
		next.ServeHTTP(w, r)
	})
}

// answer remembers what was sent.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *answer) code() int {
	if a.status == 0 {
		return http.StatusOK
	}
	return a.status
}
