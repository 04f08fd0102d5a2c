/* SPDX-License-Identifier: MIT */
/*
 * context_aarch64.S - the outermost frame of every context.
 *
 * Layer   plat.
 *
 * gv_context_make() points a fresh context here with sp at its struct gv_context, x29 zero and
 * arg in x0.  Unwinders that read the table stop because the return address is undefined; those
 * that follow frame pointers stop at the zero.
 */
#if defined(__aarch64__) && defined(__LP64__) && !defined(GV_CONTEXT_UCONTEXT)

	.text
	.p2align 4
	.globl	gv_context_trampoline
	.hidden	gv_context_trampoline
	.type	gv_context_trampoline, %function
gv_context_trampoline:
	.cfi_startproc
	.cfi_undefined x30
	.cfi_undefined x29
	.cfi_def_cfa sp, 0
	hint	#38		/* bti jc */
	ldr	x16, [sp, #24]	/* entry */
	adr	x30, 1f		/* a jump: a call would leave the return predictor one ahead */
	br	x16
1:
	brk	#1		/* entry returned */
	.cfi_endproc
	.size	gv_context_trampoline, . - gv_context_trampoline

	.section .note.gnu.property, "a", %note
	.p2align 3
	.word	4		/* length of the name */
	.word	16		/* length of the properties */
	.word	5		/* NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.word	0xc0000000	/* GNU_PROPERTY_AARCH64_FEATURE_1_AND */
	.word	4
	.word	3		/* BTI and PAC */
	.word	0

#endif

	.section .note.GNU-stack, "", %progbits
