// RUN: ascend-opt %s --verify-diagnostics --split-input-file | filecheck %s

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.input "x" : f16 [256] ND bytes 512 at 512
}
// CHECK: tensor 'x' lies outside the feature map of 512 bytes

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 4096 code "ascend-mlir.isa.1" {
}
// CHECK: the feature-map and weight regions overlap or leave the address space

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.weight "w" : f16 [16] ND bytes 32 at 0 from #om.file<"m.om">
}
// CHECK: weight 'w' lies at 0, not at a multiple of 512 above 0

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.weight "w" : f16 [16] ND bytes 64 at 512 from #om.file<"m.om">
}
// CHECK: weight 'w' has 64 bytes, its storage shape says 32

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.task "nowhere" blocks 1 args [] node 0
}
// CHECK: task 0 (nowhere) launches a kernel that the model does not hold

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.kernel "k" code ""
  om.task "k" blocks 1 args [feature_map + 513] node 0
}
// CHECK: task 0 (k) has an address outside its region

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.kernel "k" code ""
  om.task "k" blocks 0 args [] node 0
}
// CHECK: task 0 (k) has block dim 0

// -----

om.model "m" soc "Ascend310P3" memory 512 at 4096 weights at 65536 code "ascend-mlir.isa.1" {
  om.input "x" : q7 [256] ND bytes 512 at 0
}
// CHECK: 'x' has element type 'q7', which the container cannot hold

// -----

om.profiles "batch" of ["x"] sizes [[1], [1]] table 1024 {
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [1, 16] ND bytes 32 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 1 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [1, 16] ND bytes 32 at 1024
  }
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [4, 16] ND bytes 128 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 4 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [4, 16] ND bytes 128 at 1024
  }
}
// CHECK: profiles have unequal lengths, no numbers, or are equal

// -----

om.profiles "depth" of ["x"] sizes [[1], [4]] table 1024 {
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [1, 16] ND bytes 32 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 1 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [1, 16] ND bytes 32 at 1024
  }
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [4, 16] ND bytes 128 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 4 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [4, 16] ND bytes 128 at 1024
  }
}
// CHECK: profiles of kind 'depth', expected one of batch, image, dims

// -----

om.profiles "batch" of ["x"] sizes [[1], [4]] table 512 {
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [1, 16] ND bytes 32 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 1 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [1, 16] ND bytes 32 at 1024
  }
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [4, 16] ND bytes 128 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 4 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [4, 16] ND bytes 128 at 1024
  }
}
// CHECK: the table of sizes lies at 512

// -----

om.profiles "batch" of ["x"] sizes [[1], [4]] table 1024 {
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [1, 16] ND bytes 32 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 1 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [1, 16] ND bytes 32 at 1024
  }
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [4, 16] ND bytes 128 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1c"
    om.task "add" blocks 4 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [4, 16] ND bytes 128 at 1024
  }
}
// CHECK: kernel 'add' has other code in another branch

// -----

om.profiles "batch" of ["x"] sizes [[1], [4]] table 1024 {
  om.model "sample" soc "Ascend310P3" memory 2048 at 68719476736 weights at 1099511627776 code "ascend-mlir.isa.1" {
    om.input "x" : f16 [1, 16] ND bytes 32 at 0
    om.weight "w" : f16 [16] ND bytes 32 at 512 from #om.file<"sample.om">
    om.kernel "add" code "0a1b"
    om.task "add" blocks 1 args [feature_map + 0, weights + 512, feature_map + 1024] node 0
    om.output "y" : f16 [1, 16] ND bytes 32 at 1024
  }
}
// CHECK: 1 branches for 2 profiles
