package web

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
)

var functions = template.FuncMap{
	"asset":   func(name string) string { return "/assets/" + assetNames[name] },
	"money":   money,
	"rfc3339": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"stamp":   stamp,
	"ago":     func(t time.Time) string { return span(time.Since(t)) + " ago" },
	"until":   func(t time.Time) string { return span(time.Until(t)) },
}

func stamp(t time.Time) string { return t.UTC().Format("2 Jan 2006, 15:04 UTC") }

// digits are the minor units of the currencies that do not have two (ISO 4217).
var digits = map[string]int{"JPY": 0, "KRW": 0, "CLP": 0, "VND": 0, "BHD": 3, "KWD": 3, "TND": 3}

var symbols = map[string]string{"EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥"}

// money shows an amount of minor units.
func money(minor int64, currency string) string {
	n, ok := digits[currency]
	if !ok {
		n = 2
	}
	sign, text := "", strconv.FormatInt(minor, 10)
	if strings.HasPrefix(text, "-") {
		sign, text = "−", text[1:]
	}
	if pad := n + 1 - len(text); pad > 0 {
		text = strings.Repeat("0", pad) + text
	}
	if n > 0 {
		text = text[:len(text)-n] + "." + text[len(text)-n:]
	}
	if symbol, ok := symbols[currency]; ok {
		return sign + symbol + "\u00a0" + text
	}
	return sign + text + "\u00a0" + currency
}

// span shows a duration in its largest fitting unit.
func span(d time.Duration) string {
	d = max(d, 0)
	count := func(n float64, unit string) string {
		whole := int(math.Round(n))
		if whole == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", whole, unit)
	}
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 90*time.Second:
		return count(d.Seconds(), "second")
	case d < 90*time.Minute:
		return count(d.Minutes(), "minute")
	case d < 48*time.Hour:
		return count(d.Hours(), "hour")
	default:
		return count(d.Hours()/24, "day")
	}
}
