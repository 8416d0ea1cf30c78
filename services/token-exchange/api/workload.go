package api

// Workload is an identity that a cluster gives to a program: whoever presents a
// token of this issuer about this subject is the client. Both are compared byte
// for byte. In Kubernetes the subject is system:serviceaccount:<namespace>:<name>.
type Workload struct {
	Issuer  string `json:"issuer" yaml:"issuer"`
	Subject string `json:"subject" yaml:"subject"`
}
