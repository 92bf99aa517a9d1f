// What is typed into the original kubectl and into ours, line by line, for kubectl.test.ts. `@S` is the side (left: the original, right-hand
// side: ours), which is also the namespace; a line with `!` in front is run without `-n`. Behind ` <<< ` stands the standard input.

const casesOf = (text: string): readonly string[] => text.split('\n').filter((line) => line !== '')

/** Both look at the same objects of the namespace default: every kind of kubectl-world.yaml. */
export const readingCases: readonly string[] = casesOf(`
describe pods
describe deployment web
describe deploy
describe rs
describe rc rc
describe ds ds
describe sts ss
describe job job
describe cj cj
describe svc web
describe svc
describe ep web
describe endpointslices
describe ing ing
describe ingressclass nginx
describe netpol np
describe hpa hpa
describe pdb pdb
describe quota
describe limits lr
describe pv
describe pvc
describe sc sc
describe role role
describe rolebinding rb
describe clusterrole admin
describe clusterrole cluster-admin
describe clusterrole
describe clusterrolebinding cluster-admin
describe pc high
describe lease lease
describe cm cm1
describe secret s1
describe sa default
describe ns default
describe ns
describe node n1
describe nodes
describe servicecidr kubernetes
describe ipaddress
describe events
describe flowschemas exempt
describe apiservice v1.apps
describe pod nope
describe pod we
describe pods nope nope2
describe nope
describe
describe pods/nope
describe pod -l app=web
describe pod -l app=zzz
describe pods -A
describe svc web --show-events=false
explain pods
explain pod.spec
explain pod.spec.containers
explain pods.spec.containers.imagePullPolicy
explain deploy
explain deployments.apps.spec.strategy
explain deploy.spec.template.spec.containers --recursive
explain pods --recursive
explain pods --recursive --max-depth=1
explain hpa --api-version=autoscaling/v1
explain svc.spec.ports
explain cm.data
explain node.status.conditions
explain pod.nope
explain pod.spec.nope
explain nope
explain
explain a b
explain pods --max-depth=2
explain pods --api-version=nope/v1
explain pods -o foo
explain secrets.data
explain quota.spec
explain events
explain jobs.spec
wait
wait pod/nope --for=condition=Ready
wait pod/nope --for=delete
wait deployment/web --for=condition=Progressing --timeout=1s
wait deployment/web --for=condition=Available --timeout=300ms
wait deployment/web --for=condition=available=false --timeout=300ms
wait deployment/web --for=condition=Available --timeout=0
wait deploy web --for=jsonpath={.spec.replicas}=2
wait deploy web --for=jsonpath={.spec.replicas}
wait deploy web --for=jsonpath={.spec.replicas}=3 --timeout=300ms
wait deploy web --for=jsonpath={.spec}=3 --timeout=300ms
wait deploy web --for=jsonpath=.metadata.name=web
wait deploy web --for=foo
wait deploy web
wait --for=create deploy/web
wait --for=create deploy/nope --timeout=300ms
wait --for=delete deploy/web --timeout=300ms
wait --for=delete deploy/web --timeout=0
wait pods --all --for=jsonpath={.status.phase}=Pending
wait pods -l app=zzz --for=condition=Ready
wait pods --for=condition=Ready
wait deploy/web --for=condition=Progressing -o name
`)

/** Each side changes a kubeconfig of its own; the files are compared after each line. */
export const configCases: readonly string[] = casesOf(`
view
view --minify
view -o json
view -o jsonpath={.current-context}
view --raw
view --flatten
current-context
get-contexts
get-contexts -o name
get-contexts admin@k8ts
get-contexts nope
get-contexts -o foo
get-clusters
get-users
use-context nope
set-context dev --cluster=k8ts --user=admin --namespace=dev
set-context dev --namespace=dev2
set-context --current --namespace=default
set-context
set-context a --current
use-context dev
get-contexts
rename-context dev dev3
rename-context nope x
rename-context dev3 admin@k8ts
set-cluster c2 --server=https://1.2.3.4 --insecure-skip-tls-verify=true
set-cluster c2 --certificate-authority=/tmp/kk/ca.crt
set-cluster c2 --certificate-authority=/tmp/kk/nope --embed-certs
set-credentials joe --token=abc
set-credentials joe --username=u --password=p
set-credentials joe --exec-command=x --exec-arg=a --exec-env=A=b --exec-api-version=client.authentication.k8s.io/v1
view
set contexts.dev3.namespace foo
set clusters.new.server https://x
set current-context dev3
set clusters.new.insecure-skip-tls-verify maybe
set foo.bar x
unset contexts.dev3.namespace
unset current-context
current-context
unset contexts.nope.namespace
unset clusters.new
delete-context dev3
delete-context nope
delete-cluster c2
delete-cluster nope
delete-user joe
delete-user nope
delete-user
view --merge=false
view --minify
`)

/** Each side works in a namespace of its own: creating, reading, changing, deleting. */
export const changingCases: readonly string[] = casesOf(`
!create ns @S
!get ns @S
!get ns @S -o name
!create ns @S
create deployment web --image=nginx --replicas=2
create deployment web --image=nginx --replicas=2
create deployment web2 --image=nginx --dry-run=client -o yaml
create deployment web2 --image=nginx:1 --image=busybox --port=80 --dry-run=client -o json
create deployment
create deployment x
create deployment x y --image=z --dry-run=client
create cm c1 --from-literal=a=b --from-literal=c=d
create cm c2 --from-literal=a --dry-run=client
create cm c2 --from-file=/tmp/kk/nope
create secret generic s1 --from-literal=a=b
create secret generic s2 --from-literal=a=b --dry-run=client -o yaml
create secret docker-registry r1 --docker-username=u --docker-password=p --dry-run=client -o yaml
create sa sa1
create svc clusterip s1 --tcp=80:8080
create svc nodeport s2 --tcp=80 --dry-run=client -o yaml
create service clusterip h1 --clusterip=None --dry-run=client -o yaml
create service externalname e1 --external-name=a.b --dry-run=client -o yaml
create job j1 --image=busybox --dry-run=client -o yaml -- echo hi
create cronjob cj1 --image=busybox --schedule="*/5 * * * *" --dry-run=client -o yaml
create role r1 --verb=get,list --resource=pods --dry-run=client -o yaml
create rolebinding rb1 --role=r1 --user=joe --dry-run=client -o yaml
create clusterrole cr1 --verb=get --resource=pods --dry-run=client -o yaml
create clusterrolebinding crb1 --clusterrole=view --user=joe --dry-run=client -o yaml
create ingress i1 --rule=a.b/x=svc:80 --dry-run=client -o yaml
create pdb p1 --selector=a=b --min-available=1 --dry-run=client -o yaml
create quota q1 --hard=pods=1 --dry-run=client -o yaml
create priorityclass pc1 --value=10 --dry-run=client -o yaml
create token default --dry-run=client
create nope
create
create -f nope.yaml
get deploy
get deploy web
get deploy web -o wide
get deploy web -o yaml
get deploy web -o json
get deploy web -o name
get deploy,cm
get cm c1 -o yaml
get cm c1 -o jsonpath={.data.a}
get cm c1 -o jsonpath='{.data}'
get cm c1 -o go-template='{{.data.a}}'
get cm c1 -o custom-columns=N:.metadata.name,A:.data.a
get cm -o custom-columns=N:.metadata.name
get cm --show-labels
get cm --no-headers
get cm -l a=b
get cm -l 'a in (b'
get cm c1 nope
get cm nope
get cm nope --ignore-not-found
get nope
get
get pods/x
get deploy/web cm/c1
get deploy web cm
get deploy -o foo
get deploy --sort-by=.metadata.name
get deploy --field-selector=metadata.name=web
get deploy --field-selector=spec.foo=web
get deploy web --subresource=scale
get deploy web --subresource=status -o name
get --raw /version
!get --raw /nope
get -f nope.yaml
get deploy -A --foo
get events
!get nodes
!get ns
get deploy -L app
get deploy web --output-watch-events
label deploy web a=b
label deploy web a=b
label deploy web a=c
label deploy web a=c --overwrite
label deploy web a-
label deploy web zz-
label deploy web
label deploy nope a=b
label cm --all x=y
label deploy web a=b -o yaml --dry-run=client
label deploy web 'a=b c'
label deploy web --list
annotate deploy web a=b
annotate deploy web a=c
annotate deploy web a=c --overwrite
annotate deploy web a-
annotate deploy web
scale deploy web --replicas=3
scale deploy/web --replicas=1 --current-replicas=9
scale deploy nope --replicas=1
scale deploy web
scale cm c1 --replicas=1
scale deploy web --replicas=-1
set image deploy/web nginx=nginx:2
set image deploy/web nope=nginx:2
set image deploy/web
set env deploy/web A=b
set env deploy/web --list
set env deploy/web A-
set resources deploy web --limits=cpu=1
set serviceaccount deploy web sa1
set selector svc s1 a=b
rollout status deploy/web --watch=false
rollout history deploy/web --revision=1
rollout pause deploy/web
rollout pause deploy/web
rollout resume deploy/web
rollout resume deploy/web
rollout restart deploy/web
rollout undo deploy/web --to-revision=1
rollout undo deploy/web --to-revision=99
rollout status deploy/nope
rollout status cm/c1
rollout nope
apply -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ap1"},"data":{"a":"b"}}
apply -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ap1"},"data":{"a":"b"}}
apply -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ap1"},"data":{"a":"c"}}
apply -f - --dry-run=client <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ap2"},"data":{"a":"c"}}
apply -f - --dry-run=server <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ap2"},"data":{"a":"c"}}
apply -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c1"},"data":{"a":"z"}}
apply -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"bad_name"}}
apply -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ap1"},"dataz":{"a":"c"}}
apply -f - <<< {"apiVersion":"v1","metadata":{"name":"ap1"}}
apply -f - <<< {"kind":"ConfigMap","metadata":{"name":"ap1"}}
apply -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{}}
apply -f - <<< 
apply
apply -f nope.yaml
create -f - <<< {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p1"},"spec":{}}
create -f - <<< {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p1"},"spec":{"containers":[{"name":"a","image":"b","ports":[{"containerPort":99999}]}]}}
create -f - <<< {"apiVersion":"v1","kind":"Pod","metadata":{"name":"p1","namespace":"other"},"spec":{"containers":[{"name":"a","image":"b"}]}}
create -f - <<< {"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"p-"},"spec":{"containers":[{"name":"a","image":"b"}]}}
delete cm ap1
delete cm ap1
delete cm ap1 --ignore-not-found
delete cm ap1 c2 c3
delete cm
delete nope x
delete
delete cm -l x=y
delete cm -l x=y
delete deploy web --dry-run=client
delete deploy web --dry-run=server
delete deploy/web -o name
delete cm --all
delete -f nope.yaml
delete cm x --grace-period=0 --force
delete cm x --now --grace-period=3
delete cm x --cascade=foo
!api-versions
!api-resources
!api-resources --namespaced=false
!api-resources -o name --verbs=list,get
!api-resources -o wide
!api-resources --api-group=apps --no-headers
!api-resources --sort-by=kind
!api-resources --categories=all
!api-resources foo
!api-resources -o foo
!cluster-info
!get pods --context=nope
!get pods --cluster=nope
!get pods --user=nope
!get pods --request-timeout=foo
!get pods --as=joe
!get pods --token=bad --user=
!get pods -n
!get pods --output
!get pods -x
`)

/** The same, in a second pair of namespaces. */
export const moreChangingCases: readonly string[] = casesOf(`
!create ns @S
create deployment web --image=nginx --replicas=2 --port=80
create cm c1 --from-literal=a=b
create sa sa1
expose deploy web
expose deploy web
expose deploy web --port=8080 --target-port=http --name=web2 --type=NodePort
expose deploy web --name=web3 --dry-run=client -o yaml --labels=a=b
expose deploy web --name=web3 --dry-run=client -o json
expose cm c1
expose deploy nope --port=1
expose svc web --name=web4 --port=90 --cluster-ip=None
run p1 --image=nginx
run p1 --image=nginx
run p2 --image=nginx --dry-run=client -o yaml
run p2 --image=nginx --dry-run=client -o json --port=80 --env=A=b --labels=x=y
run p2 --image=nginx --dry-run=client -o yaml --restart=Never -- sleep 1
run p2 --image=nginx --dry-run=client -o yaml --command -- sleep 1
run p2
run
run p2 --image=nginx --restart=foo
run p2 --image=NGINX_@
run p2 --image=nginx --rm
run p2 --image=nginx --overrides='{"spec":{"nodeName":"x"}}' --dry-run=client -o yaml
run p3 --image=nginx --port=80 --expose
patch cm c1 -p '{"data":{"a":"c"}}'
patch cm c1 -p '{"data":{"a":"c"}}'
patch cm c1 --type=merge -p '{"data":{"x":"y"}}' -o yaml
patch cm c1 --type=json -p '[{"op":"replace","path":"/data/a","value":"z"}]'
patch cm c1 --type=json -p '[{"op":"replace","path":"/nope/a","value":"z"}]'
patch cm c1 --type=foo -p '{}'
patch cm c1
patch cm nope -p '{}'
patch deploy web --subresource=scale --type=merge -p '{"spec":{"replicas":3}}'
patch deploy web -p '{"spec":{"replicas":-1}}'
patch cm c1 -p '{"data":{"a":"d"}}' --dry-run=server
patch cm c1 -p '{"data":{"a":"d"}}' --dry-run=client
replace -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c1"},"data":{"r":"s"}}
replace -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"nope"},"data":{"r":"s"}}
replace --force -f - <<< {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c1"},"data":{"r":"t"}}
replace
replace -f - --grace-period=3 <<< {}
edit cm nope
!create -f - <<< {"apiVersion":"v1","kind":"Node","metadata":{"name":"node-@S"}}
!taint node node-@S k=v:NoSchedule
!taint node node-@S k=v:NoSchedule
!taint node node-@S k=w:NoSchedule --overwrite
!taint node node-@S k:NoSchedule-
!taint node node-@S k-
!taint node node-@S k=v:Foo
!taint node node-@S k
!taint node node-@S
!taint node nope k=v:NoSchedule
!taint pod x k=v:NoSchedule
!cordon node-@S
!cordon node-@S
!uncordon node-@S
!uncordon node-@S --dry-run=client
!cordon nope
!cordon
!drain node-@S
!drain node-@S --dry-run=client
!drain
!uncordon node-@S
auth can-i get pods
auth can-i get pods --as=joe
auth can-i list nodes
auth can-i foo pods
auth can-i get nopes
auth can-i get /version --as=joe
auth can-i get pods -q --as=joe
auth can-i get pods/log
auth can-i get pods --subresource=log
auth can-i
auth can-i --list
auth can-i --list --as=joe
!auth whoami
!auth whoami -o yaml
events --for=deploy/nope
events --types=foo
events --for=x
autoscale deploy web --max=5 --min=2 --cpu=80%
autoscale deploy web --name=h2 --max=5 --memory=200Mi --dry-run=client -o yaml
autoscale deploy web
autoscale deploy web --max=1 --min=3
autoscale cm c1 --max=3
set serviceaccount deploy web sa1
set selector svc web a=b,c=d
set sa deploy web
diff
top pods
top nodes
describe deploy web
describe svc web
describe cm c1
describe sa sa1
describe hpa web
get hpa
delete pod p1 --wait=false
delete pod p1 p3 --now --wait=false
!delete node node-@S
`)
