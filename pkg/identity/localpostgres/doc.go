// Package localpostgres starts a private PostgreSQL server from the installed
// binaries, for development on one machine and for tests. It listens on
// 127.0.0.1 only, asks for a password (SCRAM), keeps its data in one folder and
// dies with the program that started it.
//
// PostgreSQL refuses to run as root; a program that runs as root gets a server
// that runs as the user "postgres", or "nobody" where there is none.
package localpostgres
