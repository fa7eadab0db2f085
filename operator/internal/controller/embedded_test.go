package controller

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"ecommerce-stack.dev/operator/api/v1alpha1"
	"ecommerce-stack.dev/operator/internal/apply"
)

// TestStackWithEmbeddedServersBecomesReady simulates the kubelet: connections to the
// embedded servers are redirected to those of the suite. Their schemas have no prefix, so
// only one test can do this.
func TestStackWithEmbeddedServersBecomesReady(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mysql := f.stack.Spec.MySQL.External
	f.stack.Spec = v1alpha1.ECommerceStackSpec{DeletionPolicy: v1alpha1.DeletionDelete, Observability: f.stack.Spec.Observability}
	f.stack.Spec.MySQL.Embedded = &v1alpha1.EmbeddedMySQL{Exporter: &v1alpha1.MySQLExporterSpec{Image: "localhost/exporter:test"},
		Storage: v1alpha1.StorageSpec{Size: resource.MustParse("5Gi")}}
	management, err := url.Parse(f.rabbitmq.ManagementURL)
	if err != nil {
		t.Fatal(err)
	}
	redirects.redirect("demo-mysql."+f.namespace+".svc:3306", net.JoinHostPort(mysql.Host, strconv.Itoa(int(mysql.Port))))
	redirects.redirect("demo-rabbitmq."+f.namespace+".svc:15672", management.Host)
	f.createAdminSecrets(t)
	t.Cleanup(func() {
		for _, service := range schemaServices {
			schema := desiredSchema(f.stack, service)
			for _, name := range schema.Unused {
				f.exec(t, "DROP USER IF EXISTS '"+name+"'@'%'")
			}
			f.exec(t, "DROP DATABASE IF EXISTS "+schema.Name)
		}
	})
	f.apply(t)
	f.waitForPhase(t, "MySQL is starting: 0 of 1 pods are ready")
	f.runServer(t, "mysql")
	f.waitFor(t, v1alpha1.ConditionDatabaseReady, metav1.ConditionTrue)
	f.waitForPhase(t, "RabbitMQ is starting: 0 of 1 pods are ready")
	f.runServer(t, "rabbitmq")
	f.runPods(t)
	f.waitFor(t, v1alpha1.ConditionReady, metav1.ConditionTrue)
	if n := len(f.live(t).Status.Components); n != len(services)+2 {
		t.Errorf("%d components, want the services and two servers", n)
	}
	if want := "@tcp(demo-mysql." + f.namespace + ".svc:3306)/users_auth_service"; !strings.Contains(f.value(t, "auth-mysql", "dsn"), want) {
		t.Errorf("the DSN does not contain %s", want)
	}
	f.checkExporter(t)
	f.create(t, f.volume("data-demo-mysql-0", "mysql"))
	f.deleteStack(t)
	f.checkVolumesDeleted(t)
}

// checkExporter checks that the exporter reads a generated password from its Secret.
func (f *fixture) checkExporter(t *testing.T) {
	t.Helper()
	set := &appsv1.StatefulSet{}
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: "demo-mysql"}, set); err != nil {
		t.Fatal(err)
	}
	for _, container := range set.Spec.Template.Spec.Containers {
		if container.Name != "exporter" {
			continue
		}
		ref := container.Env[0].ValueFrom.SecretKeyRef
		if container.Image != "localhost/exporter:test" || ref.Name != "demo-mysql-exporter" || len(f.value(t, "mysql-exporter", ref.Key)) < 40 {
			t.Errorf("image %s with the password in Secret %s, want a generated one in demo-mysql-exporter", container.Image, ref.Name)
		}
		return
	}
	t.Error("the pod of MySQL has no exporter")
}

// createAdminSecrets creates the Secrets of a former stack, with the credentials of the
// suite's servers.
func (f *fixture) createAdminSecrets(t *testing.T) {
	t.Helper()
	admin := &corev1.Secret{}
	if err := api.Get(context.Background(), client.ObjectKey{Namespace: f.namespace, Name: "mysql-admin"}, admin); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]map[string][]byte{
		"mysql-root": admin.Data,
		"rabbitmq-admin": {
			"username": []byte("admin"), "password": []byte(f.rabbitmq.Password), "erlang-cookie": []byte("cookie"),
		},
	} {
		component, _, _ := strings.Cut(name, "-")
		f.create(t, &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "demo-" + name, Labels: apply.Labels("demo", component)},
			Data:       data,
		})
	}
}

func (f *fixture) waitForPhase(t *testing.T, want string) {
	t.Helper()
	f.eventually(t, func(context.Context) error {
		if phase := f.live(t).Status.Phase; phase != want {
			return errors.New("phase " + phase + ", want " + want)
		}
		return nil
	})
}

func (f *fixture) runServer(t *testing.T, component string) {
	t.Helper()
	f.eventually(t, func(ctx context.Context) error {
		set := &appsv1.StatefulSet{}
		if err := api.Get(ctx, client.ObjectKey{Namespace: f.namespace, Name: "demo-" + component}, set); err != nil {
			return err
		}
		set.Status = appsv1.StatefulSetStatus{Replicas: 1, ReadyReplicas: 1, ObservedGeneration: set.Generation}
		return api.Status().Update(ctx, set)
	})
}

func (f *fixture) volume(name, component string) *corev1.PersistentVolumeClaim {
	return &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: name, Labels: apply.Labels("demo", component)},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources: corev1.VolumeResourceRequirements{
				Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")},
			},
		},
	}
}

// checkVolumesDeleted accepts a volume that waits for a controller that the suite does not
// run.
func (f *fixture) checkVolumesDeleted(t *testing.T) {
	t.Helper()
	claim := f.volume("data-demo-mysql-0", "mysql")
	err := api.Get(context.Background(), client.ObjectKeyFromObject(claim), claim)
	if !apierrors.IsNotFound(err) && claim.DeletionTimestamp == nil {
		t.Errorf("the volume is still there (%v)", err)
	}
}
