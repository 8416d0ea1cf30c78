package deploy

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	drawing "github.com/shadowless/shadowless/deploy"
)

// arrow is an edge without its reason.
type arrow struct {
	from, to string
	port     int32
}

func (a arrow) String() string { return fmt.Sprintf("%s → %s:%d", a.from, a.to, a.port) }

// EdgeDifferences compares the NetworkPolicies with the drawing. A connection
// needs both ends to allow it: the policy of the one that opens it and that of
// the one that takes it. elsewhere are workloads that the overlay does not hold,
// known by their label alone: their own end cannot be checked.
func EdgeDifferences(c *Cluster, wanted []drawing.Edge, elsewhere ...string) []error {
	elsewhere = append(elsewhere, drawing.ProviderOutside)
	n := &network{c: c, elsewhere: elsewhere, out: map[arrow]bool{}, in: map[arrow]bool{}}
	for _, p := range of[*networkingv1.NetworkPolicy](c) {
		n.policy(p)
	}
	faults := n.faults
	if !n.denied[networkingv1.PolicyTypeIngress] || !n.denied[networkingv1.PolicyTypeEgress] {
		faults = append(faults, errors.New("no NetworkPolicy denies every pod what none allows"))
	}
	known := map[arrow]bool{}
	for _, e := range wanted {
		a := arrow{e.From, e.To, e.Port}
		known[a] = true
		if !n.out[a] && e.From != drawing.Outside {
			faults = append(faults, fmt.Errorf("%s is in the drawing and %s may not open it", a, e.From))
		}
		if !n.in[a] && !slices.Contains(elsewhere, e.To) {
			faults = append(faults, fmt.Errorf("%s is in the drawing and %s does not take it", a, e.To))
		}
	}
	for _, allowed := range []map[arrow]bool{n.out, n.in} {
		var extra []string
		for a := range allowed {
			if !known[a] {
				extra = append(extra, a.String())
			}
		}
		sort.Strings(extra)
		for _, a := range slices.Compact(extra) {
			faults = append(faults, fmt.Errorf("%s is allowed and not in the drawing", a))
		}
	}
	return faults
}

type network struct {
	c         *Cluster
	elsewhere []string
	out, in   map[arrow]bool
	denied    map[networkingv1.PolicyType]bool
	faults    []error
}

func (n *network) policy(p *networkingv1.NetworkPolicy) {
	if isEmpty(&p.Spec.PodSelector) && len(p.Spec.Ingress) == 0 && len(p.Spec.Egress) == 0 {
		n.denied = map[networkingv1.PolicyType]bool{}
		for _, t := range p.Spec.PolicyTypes {
			n.denied[t] = true
		}
		return
	}
	subjects := n.apps(&p.Spec.PodSelector)
	if len(subjects) == 0 {
		n.faults = append(n.faults, fmt.Errorf("NetworkPolicy %s selects no pods", p.Name))
	}
	for _, rule := range p.Spec.Ingress {
		n.rule(p.Name, subjects, rule.From, rule.Ports, n.in, func(subject, peer string) (string, string) { return peer, subject })
	}
	for _, rule := range p.Spec.Egress {
		if dns(rule) {
			continue
		}
		n.rule(p.Name, subjects, rule.To, rule.Ports, n.out, func(subject, peer string) (string, string) { return subject, peer })
	}
}

func (n *network) rule(name string, subjects []string, peers []networkingv1.NetworkPolicyPeer, ports []networkingv1.NetworkPolicyPort,
	into map[arrow]bool, order func(subject, peer string) (from, to string),
) {
	if len(peers) == 0 || len(ports) == 0 {
		n.faults = append(n.faults, fmt.Errorf("NetworkPolicy %s has a rule for every peer or every port", name))
		return
	}
	for _, peer := range peers {
		others := n.peers(name, peer)
		for _, port := range ports {
			if port.Port == nil || port.Port.IntVal == 0 || port.EndPort != nil {
				n.faults = append(n.faults, fmt.Errorf("NetworkPolicy %s: ports are single numbers", name))
				continue
			}
			for _, subject := range subjects {
				for _, other := range others {
					from, to := order(subject, other)
					into[arrow{from, to, port.Port.IntVal}] = true
				}
			}
		}
	}
}

// peers names who is at the other end of a rule.
func (n *network) peers(name string, p networkingv1.NetworkPolicyPeer) []string {
	switch {
	case p.IPBlock != nil:
		return []string{drawing.ProviderOutside}
	case p.NamespaceSelector != nil:
		return []string{drawing.Outside}
	case isEmpty(p.PodSelector):
		n.faults = append(n.faults, fmt.Errorf("NetworkPolicy %s lets every pod through", name))
		return nil
	}
	apps := n.apps(p.PodSelector)
	if len(apps) == 0 {
		n.faults = append(n.faults, fmt.Errorf("NetworkPolicy %s has a peer that selects no pods", name))
	}
	return apps
}

// apps names the workloads whose pods a selector selects.
func (n *network) apps(by *metav1.LabelSelector) []string {
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		n.faults = append(n.faults, err)
		return nil
	}
	var found []string
	for _, w := range n.c.Workloads() {
		if selector.Matches(labels.Set(w.Template.Labels)) {
			found = append(found, w.App)
		}
	}
	for _, app := range n.elsewhere {
		if by.MatchLabels[appLabel] == app {
			found = append(found, app)
		}
	}
	return found
}

func isEmpty(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// dns is the one thing that every pod may do.
func dns(rule networkingv1.NetworkPolicyEgressRule) bool {
	for _, port := range rule.Ports {
		if port.Port == nil || port.Port.IntVal != 53 {
			return false
		}
	}
	return len(rule.Ports) > 0 && len(rule.To) == 1 && rule.To[0].NamespaceSelector != nil
}
