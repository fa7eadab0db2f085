package controller

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"ecommerce-stack.dev/charts"
	"ecommerce-stack.dev/operator/api/v1alpha1"
)

// restorationRequest returns the ID of the restoration that the stack's annotation requests, or "".
// It is a hash, because an annotation may have any size.
func restorationRequest(stack *v1alpha1.ECommerceStack) string {
	value := stack.Annotations[v1alpha1.RestoreManagerAnnotation]
	if value == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:16])
}

// restorationReport is what a pod of auth reports about the request that it has fulfilled.
type restorationReport struct {
	Restored string `json:"restored"`
}

// restoreManager returns what a requested restoration of the manager's account waits for, or "". The
// pods of auth restore it when they start with the request, and record that in their database: so
// it is done once, also if this status is lost.
func (r *reconciliation) restoreManager(ctx context.Context) (progress string, err error) {
	request := restorationRequest(r.stack)
	if request == "" || r.stack.Status.Manager != nil && r.stack.Status.Manager.RestoreRequest == request {
		return "", nil
	}
	pods, err := r.pods(ctx, charts.Auth)
	if err != nil {
		return "", err
	}
	transport := r.newTransport(nil)
	for _, pod := range pods {
		report, ok := readReport[restorationReport](ctx, transport, pod.Status.PodIP, "/manager-restoration")
		if !ok || report.Restored != request {
			continue
		}
		r.stack.Status.Manager = &v1alpha1.ManagerStatus{RestoreRequest: request, LastRestoration: new(metav1.NewTime(time.Now()))}
		r.recordEvent(normal, "Restored", "RestoreManager",
			fmt.Sprintf("The manager's account is enabled and has the role Manager and the password in Secret %s", managerSecretName(r.stack)))
		return "", nil
	}
	r.recheckAfter(requeueInterval)
	return "waiting until a pod of auth has restored the account", nil
}
