// kubectl as a program.
import { runKubectl } from '../clients/kubectl/kubectl.ts'

export const run = runKubectl
